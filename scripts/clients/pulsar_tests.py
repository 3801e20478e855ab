"""Runs the unmodified tests of the package pulsar-admin against a server.

    python pulsar_tests.py http://127.0.0.1:12345 TOKEN-FILE

The tests call port 8080 of localhost with urllib, without a token. The opener that this script installs redirects these
calls to the server and adds the token.
"""

import sys
import unittest
import urllib.request
from urllib.parse import urlsplit

TESTS = ["pulsar_admin.tenants_test", "pulsar_admin.clusters_test", "pulsar_admin.namespaces_test"]
THERE = "localhost:8080"


class Elsewhere(urllib.request.BaseHandler):
    """Redirects requests for a fixed address to another one."""

    # Runs before the handler that reads the address from the request.
    handler_order = 100

    def __init__(self, address, token):
        self.address, self.token = address, token

    def http_request(self, request):
        if request.host != THERE:
            raise AssertionError(f"a test calls {request.host}")
        request.host = self.address
        request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        return request


def main():
    origin, token_file = sys.argv[1:]
    with open(token_file, encoding="utf-8") as file:
        handler = Elsewhere(urlsplit(origin).netloc, file.read().strip())
    # No proxy, because the server is on this machine.
    urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({}), handler))
    suite = unittest.defaultTestLoader.loadTestsFromNames(TESTS)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    print(f"pulsar-admin: {result.testsRun} tests")
    sys.exit(0 if result.wasSuccessful() and result.testsRun >= len(TESTS) else 1)


if __name__ == "__main__":
    main()
