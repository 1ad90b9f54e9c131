"""A bucket that can be listed: a real HTTP server that answers ListObjectsV2, each page after a while."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

PAGE = 1000
_AT = "2026-01-01T00:00:00.000Z"


class BucketListing:
    """Serves listings of these keys at `url` within the block; counts the pages."""

    def __init__(self, keys: Iterable[str], page_s: float = 0.0) -> None:
        self.keys, self.page_s, self.pages = sorted(keys), page_s, 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))

    @property
    def url(self) -> str:
        """What AWS_ENDPOINT_URL takes."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> BucketListing:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def page(self, prefix: str, after: str, delimiter: str) -> tuple[list[str], list[str], str]:
        """Keys and folders behind a key, and the last of them where more follow."""
        found: list[str] = []
        folders: list[str] = []
        at = max(bisect_right(self.keys, after), bisect_right(self.keys, prefix) - (prefix in self.keys))
        while at < len(self.keys) and self.keys[at].startswith(prefix):
            key = self.keys[at]
            if len(found) + len(folders) == PAGE:
                return found, folders, self.keys[at - 1]
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.append(prefix + rest[: rest.index(delimiter) + 1])
                at = bisect_right(self.keys, folders[-1] + "\U0010ffff")
            else:
                found.append(key)
                at += 1
        return found, folders, ""


def _handler(bucket: BucketListing) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            after = query.get("continuation-token") or query.get("start-after", "")
            keys, folders, token = bucket.page(query.get("prefix", ""), after, query.get("delimiter", ""))
            bucket.pages += 1
            time.sleep(bucket.page_s)
            contents = "".join(
                f"<Contents><Key>{escape(key)}</Key><LastModified>{_AT}</LastModified><ETag>&quot;e&quot;</ETag>"
                "<Size>10</Size></Contents>"
                for key in keys
            )
            prefixes = "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders)
            more = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
            body = (
                f"<ListBucketResult><Name>b</Name><KeyCount>{len(keys)}</KeyCount>"
                f"<IsTruncated>{str(bool(token)).lower()}</IsTruncated>{contents}{prefixes}{more}</ListBucketResult>"
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
