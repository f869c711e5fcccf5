"""magnostic: breast-tumour classification in H&E photographs at any magnification.

Research use only: nothing here is a medical device.
"""

__version__ = "0.1.0"
