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
    "header._typ: typ.lower().removeprefix('application/') if typ.isascii() else typ  ->  typ.lower().removeprefix('application/') if True else typ": "no letter beyond ASCII becomes one of these names in lower case",
    "header.module: 1024  ->  1023": "how many headers are kept, and how long: costs time or memory only",
    "header.parse: _parse_known(segment) if len(segment) <= 512 else _parse(segment)  ->  _parse_known(segment) if False else _parse(segment)": "how many headers are kept, and how long: costs time or memory only",
    "header.parse: len(segment) <= 512  ->  [512 = 511]": "how many headers are kept, and how long: costs time or memory only",
    "header.parse: len(segment) <= 512  ->  [512 = 513]": "how many headers are kept, and how long: costs time or memory only",
    "header.parse: len(segment) <= 512  ->  len(segment) < 512": "how many headers are kept, and how long: costs time or memory only",
    "jwk_set.KeySet.__init__:  for m in members if m.kid is not None  ->   for m in members": "a look-up without kid never comes to this table",
    "jwk_set.KeySet.__init__: m.key is not None and m.key.alg == alg  ->  m.key is not None": "there is one algorithm so far",
    "jwk_set._kid: kid is None and 'kid' not in jwk  ->  'kid' not in jwk": "the first half is only the quicker",
    "jwk_set._only: keys[0]  ->  [0 = -1]": "all of them are one key",
    "jwk_set._only: keys[0]  ->  [0 = -1]  (2)": "all of them are one key",
    "jwk_set.read_member: '; '.join  ->  ['; ' = '; X']": "there is one algorithm so far, and so one fault",
    "response._check_media_type: charset.strip(' \"')  ->  [' \"' = ' \"X']": "the text is in lower case by then: there is no X",
    "response._decompress: if gzip.eof:  ->  if False:": "finish() refuses the same; this only says so sooner",
    "response._decompress: raise FetchFailed('something follows the gzip data')  ->  pass": "finish() refuses the same; this only says so sooner",
    "strict_json.module: 256  ->  255": "how much is counted at a time",
    "strict_json.module: 256  ->  257": "how much is counted at a time",
    "strict_json.module: range(256)  ->  [256 = 255]": "an octet that is never in UTF-8: what holds it is refused anyway",
    "strict_json.module: set(b'[]{}')  ->  [b'[]{}' = b'[]{}X']": "a letter outside of strings is no JSON anyway",
}
