"""Pages on run folders: a list, one run, comparisons, and the errors beside their photographs.

Reads what runs hold by the functions of report and evaluate, and nothing needs torch. The server
wants the extra ``[serve]``.
"""
