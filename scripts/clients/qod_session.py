"""Uses the command line qod like a person, with a new server.

    python qod_session.py http://127.0.0.1:12345 TOKEN-FILE STATIC-KEY

Run it with the Python of the qod package, because it reads the table of operations there. TOKEN-FILE contains the token of the
platform administrator.
"""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import urllib.request

import httpx
import qod_cli.commands
from qod_cli.registry import REGISTRY

# The supported operations; all others in the table of the client get 404.
SERVED = {
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/api/config/client"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/logout"),
    ("GET", "/api/auth/whoami"),
    ("GET", "/api/tenant/list"),
    ("POST", "/api/tenant/create"),
    ("POST", "/api/tenant/setDisabled"),
    ("POST", "/api/tenant/setAuth"),
    ("POST", "/api/tenant/delete"),
}
# The configuration of the server in scripts/clients-check.
EDGE = {"flightSqlHost": "sql.example.com", "flightSqlPort": 31999, "flightSqlTls": False, "quackPort": 0}
PASSWORD = "correct horse battery staple"


class Qod:
    """The command line, with its own home directory."""

    def __init__(self, origin, home):
        self.program = os.path.join(os.path.dirname(sys.executable), "qod")
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": home, "QOD_MANAGER_URL": origin, "QOD_CONFIG_FILE": f"{home}/config.toml",
            "NO_PROXY": "*",
        }

    def run(self, *arguments, typed="", **settings):
        """Runs a command with `typed` as its input; returns its status and output."""
        # Without a controlling terminal the program reads passwords from standard input.
        return subprocess.run(
            [self.program, "--json", *arguments], env={**self.environment, **settings}, input=typed, text=True,
            capture_output=True, timeout=60, start_new_session=True, check=False,
        )

    def does(self, *arguments, **options):
        """Runs a command that must succeed, and returns its output parsed as JSON."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, f"qod {' '.join(arguments)}: {done.stdout}{done.stderr}"
        text = done.stdout[done.stdout.index("{"):] if "{" in done.stdout else done.stdout
        return json.loads(text)

    def fails(self, text, *arguments, **options):
        """Runs a command that must fail with an error that contains this text."""
        done = self.run(*arguments, **options)
        assert done.returncode == 1 and text in done.stderr, f"qod {' '.join(arguments)}: {done.stdout}{done.stderr}"


def post(origin, token, path, body):
    """Calls another surface."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(origin + path, json.dumps(body).encode(), headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        return json.load(response)


def probes(qod):
    assert qod.does("health") == {"status": "ok", "poolsCount": 0, "nodesCount": 0}
    assert qod.does("ready") == {"status": "ready"}
    assert qod.does("config", "client") == EDGE
    status = qod.does("status")
    assert (status["manager"], status["ready"], status["flightsqlTls"]) == ("up", True, False), status
    assert status["flightsql"] == "sql.example.com:31999", status


def login(qod):
    qod.fails("run qod login", "whoami")
    qod.fails("invalid_credentials", "login", typed="wrong\n")
    assert qod.does("login", typed="admin\n")["username"] == "admin"
    with open(qod.environment["QOD_CONFIG_FILE"], encoding="utf-8") as file:
        profile = file.read()
    for line in ['edge_host = "sql.example.com"', "edge_port = 31999", "edge_tls = false"]:
        assert line in profile, profile
    who = qod.does("whoami")
    assert (who["username"], who["superuser"], who["tenant"]) == ("admin", True, None), who


def names(qod, **settings):
    return [tenant["name"] for tenant in qod.does("tenant", "list", **settings)["tenants"]]


def tenants(qod):
    before = names(qod)
    made = qod.does("tenant", "create", "Acme")
    assert (made["name"], made["displayName"], made["authProvider"], made["disabled"]) == ("acme", "acme", "db", False), made
    google = ["--auth-config", "issuer=https://accounts.google.com", "--auth-config", "hd=example.com"]
    made = qod.does("tenant", "create", "beta", "--display-name", "Beta", "--auth-provider", "google", *google)
    assert (made["displayName"], made["authConfig"]["hd"]) == ("Beta", "example.com"), made
    assert sorted(names(qod)) == sorted([*before, "acme", "beta"])
    qod.fails("409 exists", "tenant", "create", "ACME")
    qod.fails("400 invalid_name", "tenant", "create", "a-b")
    qod.fails("400 invalid_auth_provider", "tenant", "set-auth", "beta", "--auth-provider", "saml")
    assert qod.does("tenant", "set-auth", "beta", "--auth-provider", "db")["authConfig"] == {}
    assert qod.does("tenant", "set-disabled", "beta", "--disabled")["disabled"] is True
    assert qod.does("tenant", "set-disabled", "beta", "--enabled")["disabled"] is False
    assert qod.run("tenant", "delete", "beta").returncode == 0
    qod.fails("404 not_found", "tenant", "delete", "beta")


def administrator_of_a_tenant(qod, origin, token):
    user = {"action": "create", "tenant_id": "acme", "email": "ada@example.com", "role": "admin"}
    made = post(origin, token, "/v1/admin/users/lifecycle", user)
    password = {"tenant_id": "acme", "user_id": made["user"]["id"], "password": PASSWORD}
    post(origin, token, "/v1/admin/users/password", password)
    own = ["--profile", "ada"]
    qod.does(*own, "login", "--tenant", "acme", "--username", "ada@example.com", typed=PASSWORD + "\n")
    who = qod.does(*own, "whoami")
    assert (who["tenant"], who["superuser"], who["manageableTenants"]) == ("acme", False, ["acme"]), who
    assert [tenant["name"] for tenant in qod.does(*own, "tenant", "list")["tenants"]] == ["acme"]
    qod.fails("403 superuser_required", *own, "tenant", "create", "gamma")
    assert qod.run(*own, "logout").returncode == 0


def static_key(qod, key):
    assert "acme" in names(qod, QOD_API_KEY=key)
    qod.fails("401", "tenant", "list", QOD_API_KEY="wrong")


def logout(qod):
    assert qod.run("logout").returncode == 0
    qod.fails("run qod login", "tenant", "list")


def everything_else(origin, key):
    """Unsupported operations get 404 for every caller."""
    for module in pkgutil.iter_modules(qod_cli.commands.__path__):
        importlib.import_module(f"qod_cli.commands.{module.name}")
    importlib.import_module("qod_cli.main")
    operations = {(command.method, command.path) for command in REGISTRY}
    assert SERVED <= operations, SERVED - operations
    for method, path in sorted(operations - SERVED):
        for headers in ({}, {"X-API-Key": key}):
            url, body = origin + path.replace("{", "").replace("}", ""), {} if method in ("POST", "PUT") else None
            # A new connection for each call, like the program.
            answer = httpx.request(method, url, headers=headers, json=body, trust_env=False)
            told = answer.json().get("error") if answer.content else None
            assert (answer.status_code, told) == (404, "not_found"), f"{method} {path}: {answer.status_code} {told}"
    return len(operations)


def main():
    origin, token_file, key = sys.argv[1:]
    with open(token_file, encoding="utf-8") as file:
        token = file.read().strip()
    with tempfile.TemporaryDirectory() as home:
        qod = Qod(origin, home)
        probes(qod)
        login(qod)
        tenants(qod)
        administrator_of_a_tenant(qod, origin, token)
        static_key(qod, key)
        logout(qod)
    print(f"qod: {len(SERVED)} of its {everything_else(origin, key)} operations are served and work")


if __name__ == "__main__":
    main()
