"""Voilà, closed to requests that name another machine, and with pages that need no network:
`python -m vaelab.apps.dashboards.server`, with Voilà's options.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from jupyter_server import DEFAULT_STATIC_FILES_PATH
from tornado.httputil import HTTPHeaders
from tornado.web import OutputTransform
from voila.app import Voila

# Icon fonts, which no view uses, and a module for diagrams that is loaded where a page has one.
_LINKS = re.compile(rb"<link\b[^>]*\bhttps?://[^>]*>")
_ADDRESSES = re.compile(rb"https?://cdn[^\"'\s>]*")


class Offline(OutputTransform):
    """Takes what lies on other servers out of a page."""

    is_page = False

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """The first part of an answer, whose headers say what it is and how long."""
        self.is_page = headers.get("Content-Type", "").startswith("text/html")
        chunk = self.transform_chunk(chunk, finishing)
        if finishing and "Content-Length" in headers:
            headers["Content-Length"] = str(len(chunk))
        return status_code, headers, chunk

    def transform_chunk(self, chunk: bytes, finishing: bool) -> bytes:
        """Any part of it."""
        return _ADDRESSES.sub(b"about:blank", _LINKS.sub(b"", chunk)) if self.is_page else chunk


class Server(Voila):
    """Voilà with other settings.

    A browser that was led here by a foreign name (DNS rebinding) says so in the header Host; it is
    refused, unless the server listens to other machines or stands behind a proxy, whose names are
    not known here.
    """

    def init_settings(self) -> Any:
        """Voilà's settings, with what is changed."""
        is_own = ipaddress.ip_address(self.ip).is_loopback and self.base_url == "/"
        settings: Any = super().init_settings()
        return {
            **settings,
            "allow_remote_access": not is_own,
            "static_path": DEFAULT_STATIC_FILES_PATH,  # Of the pages of errors and of /logout.
            "static_url_prefix": f"{self.base_url}static/",
            "transforms": [Offline],
        }


if __name__ == "__main__":
    Server.launch_instance()
