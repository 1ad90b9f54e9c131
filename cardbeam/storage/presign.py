"""Object -> a URL that the endpoint can fetch by itself.

A presigned URL opens the image to whoever has it: it goes into the request and nowhere else.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from obstore import sign
from obstore.store import AzureStore

from cardbeam.storage.errors import StoreError, store_errors
from cardbeam.storage.object_store import Object, connect


def presign(place: Object, lifetime: timedelta) -> str:
    """A URL by which anybody may read an object for so long.

    Raises:
        PermissionError: our credentials cannot sign.
        OSError: the store cannot be asked to.
    """
    store = connect(place.bucket)
    with store_errors(place.uri):
        url = sign(store, "GET", place.key, lifetime)
    if isinstance(store, AzureStore) and quote(place.key, safe="/!$&'()*+,:;=@~") != place.key:
        return f"{url.partition('?')[0]}?{_shared_access_signature(store, place, lifetime)}"
    return url


def _shared_access_signature(store: AzureStore, place: Object, lifetime: timedelta) -> str:
    """obstore 0.12 signs the escaped name, and Azure checks the name itself: Azure's own library signs what is escaped.

    https://learn.microsoft.com/rest/api/storageservices/create-service-sas, "canonicalizedResource"
    """
    account, key = store.config.get("account_name"), store.config.get("account_key")
    try:
        from azure.storage.blob import generate_blob_sas  # noqa: PLC0415  # an extra
    except ImportError:
        key = None
    if not account or not key:
        raise StoreError(f"{place.uri}: signing such a name takes an account key and pip install 'cardbeam[azure]'")
    container = place.bucket.partition("://")[2].partition("@")[0]
    expiry = datetime.now(timezone.utc) + lifetime
    return str(generate_blob_sas(account, container, place.key, account_key=key, permission="r", expiry=expiry))
