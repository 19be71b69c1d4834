"""Mutants that no test can tell from the original, or that cost time only: each with the reason."""

# ruff: noqa: E501  (a name is what the mutant is)

EQUIVALENT: dict[str, str] = {
    "base64url.decode_canonical: True  ->  False": "what is decoded has been found canonical, and so is strict",
    "base64url.module: (b'', b'', b'==', b'=')  ->  [b'' = b'X']  (2)": "the padding for a length that no canonical segment has",
    "base64url.module: True  ->  False": "zip(strict=…) of two constants of one length",
    "claims.check_audience: if type(aud) is str and aud in policy.audiences:  ->  if False:": "a short cut: what follows gives the same answer",
    "compact._not_canonical: True  ->  False": "zip(strict=…) of what has been counted",
    "compact.loads: if len(segment) > _GLANCE:  ->  if True:": "costs time only: what the first bytes give away, the whole is refused for, too",
    "compact.loads: len(segment) > _GLANCE  ->  len(segment) >= _GLANCE": "costs time only, and for one length",
    "freshness.Entry: 0  ->  -1": "the digest of an entry that is made without one: tests do so, the fetcher never",
    "freshness.Entry: 0  ->  1": "the digest of an entry that is made without one: tests do so, the fetcher never",
    "response._decompress: if gzip.eof:  ->  if False:": "finish() refuses the same; this only says so sooner",
    "response._decompress: raise FetchFailed('something follows the gzip data')  ->  pass": "finish() refuses the same; this only says so sooner",
}
