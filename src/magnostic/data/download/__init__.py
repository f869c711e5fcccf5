"""Fetching a data set: over broken networks, from servers that are not trusted, onto full disks."""

from magnostic.data.download.fetch import ATTRIBUTION, URL, Fetched, fetch_breakhis
from magnostic.data.download.patience import Patience
from magnostic.data.download.unpacking import Wanted

__all__ = ["ATTRIBUTION", "URL", "Fetched", "Patience", "Wanted", "fetch_breakhis"]
