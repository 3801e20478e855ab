#!/usr/bin/env python3
"""Verifies Tenantry's signed artifacts, and checks the test vectors: python3 check.py vectors.json

A reader of the vectors in another language, with the standard library alone. It is an example for implementers, and too slow for
anything else.
"""

import base64
import calendar
import hashlib
import json
import re
import sys


class Refusal(Exception):
    """Why an artifact is refused."""


# Ed25519 (RFC 8032, section 5.1), on the curve -x^2 + y^2 = 1 + d x^2 y^2.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


# Points are X, Y, Z and T with x = X / Z, y = Y / Z and x y = T / Z.
BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def add(a, b):
    e = (a[1] + a[0]) * (b[1] + b[0]) - (a[1] - a[0]) * (b[1] - b[0])
    f, g, h = 2 * (a[2] * b[2] - D * a[3] * b[3]), 2 * (a[2] * b[2] + D * a[3] * b[3]), 2 * (a[1] * b[1] + a[0] * b[0])
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(point, factor):
    result = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            result = add(result, point)
        point, factor = add(point, point), factor >> 1
    return result


def is_same(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def decompress(encoded):
    number = int.from_bytes(encoded, "little")
    y, sign = number & (1 << 255) - 1, number >> 255
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def is_signature(public_key, message, signature):
    if len(signature) != 64:
        return False
    key, point = decompress(public_key), decompress(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or point is None or scalar >= ORDER:
        return False
    hashed = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(hashed, "little") % ORDER
    return is_same(multiply(BASE, scalar), add(point, multiply(key, challenge)))


def without_duplicates(pairs):
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member occurs twice")
    return members


def parse(data, code):
    try:
        return json.loads(data, object_pairs_hook=without_duplicates)
    except ValueError:
        raise Refusal(code) from None


def time_of(text):
    form = r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?Z"
    found = re.fullmatch(form, text) if isinstance(text, str) else None
    if not found:
        raise Refusal("bad_schema")
    return calendar.timegm([int(part) for part in found.groups()[:6]] + [0, 0, 0])


def number_of(value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Refusal("bad_schema")
    return value


def text_of(value):
    if not isinstance(value, str):
        raise Refusal("bad_schema")
    return value


def envelope_of(data):
    """The type, the payload and the signatures of an envelope."""
    envelope = parse(data, "malformed")
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [(one["keyid"], base64.b64decode(one["sig"], validate=True)) for one in envelope["signatures"]]
        media_type = envelope["payloadType"]
    except (KeyError, TypeError, ValueError):
        raise Refusal("malformed") from None
    if not signatures:
        raise Refusal("malformed")
    return media_type, payload, signatures


def signed_bytes(media_type, payload):
    return b"DSSEv1 %d %s %d %s" % (len(media_type.encode()), media_type.encode(), len(payload), payload)


class Anchors:
    """The trusted keys."""

    def __init__(self, payload):
        if payload.get("schema") != "tenantry.trust-anchors.v1":
            raise Refusal("bad_schema")
        self.sequence = number_of(payload.get("sequence"))
        self.issued_at, self.expires_at = time_of(payload.get("issued_at")), time_of(payload.get("expires_at"))
        self.keys = payload["anchors"]

    def check_signature(self, key_id, message, signature, use, now):
        of_id = [key for key in self.keys if key["id"] == key_id]
        if not of_id:
            raise Refusal("unknown_key")
        key = next((key for key in of_id if key["use"] == use), None)
        if key is None:
            raise Refusal("wrong_use")
        # A state that this version does not know is not trusted.
        if key["state"] not in ("upcoming", "active", "retiring"):
            raise Refusal("revoked_key")
        if not time_of(key["not_before"]) <= now < time_of(key["not_after"]):
            raise Refusal("key_not_valid")
        # The last 32 bytes of the SubjectPublicKeyInfo.
        if not is_signature(base64.b64decode(key["public_key"])[-32:], message, signature):
            raise Refusal("bad_signature")

    def check(self, media_type, payload, signatures, use, now):
        why = "unknown_key"
        for key_id, signature in signatures:
            try:
                return self.check_signature(key_id, signed_bytes(media_type, payload), signature, use, now)
            except Refusal as refusal:
                if str(refusal) != "unknown_key":
                    why = str(refusal)
        raise Refusal(why)


def next_anchors(before, data):
    """The set after another one, or the first one."""
    media_type, payload, signatures = envelope_of(data)
    if media_type != "application/vnd.tenantry.trust-anchors+json":
        raise Refusal("wrong_type")
    anchors = Anchors(parse(payload, "bad_payload"))
    for of in [before, anchors] if before else [anchors]:
        of.check(media_type, payload, signatures, "root", anchors.issued_at)
    if before and (anchors.sequence != before.sequence + 1 or anchors.issued_at < before.issued_at):
        raise Refusal("not_next")
    return anchors


def accept(anchors, shelf, kind, data, now):
    """Puts an artifact on the shelf: (version, issued_at, expires_at, payload, digest)."""
    if now >= anchors.expires_at:
        raise Refusal("nothing_fresh")
    media_type, payload, signatures = envelope_of(data)
    if media_type != f"application/vnd.tenantry.{kind}+json":
        raise Refusal("wrong_type")
    use = "spc-signing" if kind == "spc-bundle" else "policy-signing"
    anchors.check(media_type, payload, signatures, use, now)
    head = parse(payload, "bad_payload")
    if head.get("schema") != f"tenantry.{kind}.v1":
        raise Refusal("bad_schema")
    versions = [head[name] for name in ("version", "sequence", "config_version") if name in head]
    version = number_of(versions[0] if versions else None)
    issued_at, expires_at = time_of(head.get("issued_at")), time_of(head.get("expires_at"))
    if now >= expires_at:
        raise Refusal("expired")
    if kind in shelf and (version, issued_at) < shelf[kind][:2]:
        raise Refusal("rolled_back")
    digest = "sha256:" + hashlib.sha256(payload).hexdigest()
    if kind == "spc-bundle":
        payload = whole_bundle(shelf.get(kind), head, payload)
    shelf[kind] = version, issued_at, expires_at, payload, digest


def whole_bundle(held, head, payload):
    """The payload of an SPC bundle with all revocations: one with a part of them continues the one on the shelf."""
    new = head.get("revocations")
    if new is None or new["full"]:
        return payload
    since = number_of(new.get("since_sequence"))
    if held is None or since > held[0]:
        raise Refusal("gap")
    before = json.loads(held[3]).get("revocations")
    if before is None:
        raise Refusal("gap")
    serials = before["serials"] + [serial for serial in new["serials"] if serial not in before["serials"]]
    whole = {"serials": serials, "epoch": max(before["epoch"], new["epoch"]), "full": True}
    return json.dumps({**head, "revocations": whole}).encode()


def current(shelf, kind, now):
    if kind not in shelf or now >= shelf[kind][2]:
        raise Refusal("nothing_fresh")
    return shelf[kind][3]


def jws_of(token, kind):
    """The key id, what is signed, the claims and the signature of a compact JWS."""
    parts = token.split(".")
    if len(parts) != 3:
        raise Refusal("malformed")
    try:
        header, claims, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts)
        header = parse(header, "malformed")
        if set(header) != {"alg", "typ", "kid"}:
            raise Refusal("malformed")
    except ValueError:
        raise Refusal("malformed") from None
    if header["alg"] != "EdDSA" or header["typ"] != kind:
        raise Refusal("wrong_type")
    return header["kid"], ".".join(parts[:2]).encode(), claims, signature


SKEW = 60


def check_spc(anchors, shelf, token, case, now):
    bundle = parse(current(shelf, "spc-bundle", now), "bad_payload")
    if now >= anchors.expires_at or not bundle["revocations"]["full"]:
        raise Refusal("nothing_fresh")
    key_id, message, claims, signature = jws_of(token, "spc+jwt")
    key = next((key for key in bundle["keys"] if key["id"] == key_id), None)
    if key is None:
        raise Refusal("unknown_key")
    if key["state"] not in ("upcoming", "active", "retiring"):
        raise Refusal("revoked_key")
    anchors.check_signature(key_id, message, signature, "spc-signing", now)
    spc = parse(claims, "bad_payload")
    serial = text_of(spc.get("serial"))
    if now + SKEW < spc["nbf"]:
        raise Refusal("not_yet_valid")
    if now - SKEW >= spc["exp"]:
        raise Refusal("expired")
    if case["audience"] not in spc["aud"]:
        raise Refusal("audience")
    if spc["cnf"]["jkt"] != case["proven_key"]:
        raise Refusal("key_mismatch")
    if spc["epoch"] < bundle["revocations"]["epoch"] or serial in bundle["revocations"]["serials"]:
        raise Refusal("revoked")
    if spc["pol"]["digest"] not in case["policies"]:
        raise Refusal("policy_superseded")


def check_offline(anchors, shelf, token, case, now):
    config = parse(current(shelf, "deployment-config", now), "bad_payload")
    state, grace = text_of(config.get("desired_state")), config.get("offline_grace_seconds")
    if not isinstance(grace, int) or isinstance(grace, bool):
        raise Refusal("bad_schema")
    if state != "serve":
        raise Refusal("draining")
    if not 0 <= now - case["heard_at"] < grace:
        raise Refusal("offline_grace_over")
    check_spc(anchors, shelf, token, case, now)


def check_grant(anchors, token, case, now):
    if now >= anchors.expires_at:
        raise Refusal("nothing_fresh")
    key_id, message, claims, signature = jws_of(token, "grant+jwt")
    anchors.check_signature(key_id, message, signature, "admission-signing", now)
    grant = parse(claims, "bad_payload")
    if now + SKEW < grant["iat"]:
        raise Refusal("not_yet_valid")
    if now - SKEW >= grant["exp"] or now >= grant["max_end"]:
        raise Refusal("expired")
    if grant["gw"] != case["gateway"]:
        raise Refusal("audience")
    if grant["cnf"]["jkt"] != case["proven_key"]:
        raise Refusal("key_mismatch")
    if grant["jti"] in case["used"]:
        raise Refusal("replayed")


def run(case):
    """Fails with a refusal, or returns."""
    anchors, shelf, now = None, {}, case["now"]
    for data in case["anchors"]:
        anchors = next_anchors(anchors, data)
    for earlier in case.get("shelf", []):
        accept(anchors, shelf, earlier["kind"], earlier["envelope"], earlier["now"])
    if case["do"] == "walk":
        assert anchors.sequence == case["sequence"], case["name"]
    elif case["do"] == "accept":
        accept(anchors, shelf, case["kind"], case["envelope"], now)
        version, _, _, _, digest = shelf[case["kind"]]
        assert (version, digest) == (case["version"], case["digest"]), case["name"]
    elif case["do"] == "current":
        current(shelf, case["kind"], now)
    elif case["do"] == "spc":
        check_spc(anchors, shelf, case["spc"], case, now)
    elif case["do"] == "offline":
        check_offline(anchors, shelf, case["spc"], case, now)
    else:
        assert case["do"] == "grant", case["do"]
        check_grant(anchors, case["grant"], case, now)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        cases = json.load(file)["cases"]
    differ = 0
    for case in cases:
        try:
            run(case)
            outcome = "ok"
        except Refusal as refusal:
            outcome = str(refusal)
        if outcome != case["expect"]:
            differ += 1
            print(f"{case['do']}: {case['name']}: {outcome}, expected {case['expect']}")
    print(f"{len(cases) - differ} of {len(cases)} cases agree")
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
