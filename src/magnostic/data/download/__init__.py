"""Fetching a data set: over broken networks, from servers that are not trusted, onto full disks."""

from magnostic.data.download.fetch import ATTRIBUTION, URL, Fetched, Wanted, fetch_breakhis
from magnostic.data.download.patience import Patience

__all__ = ["ATTRIBUTION", "URL", "Fetched", "Patience", "Wanted", "fetch_breakhis"]
