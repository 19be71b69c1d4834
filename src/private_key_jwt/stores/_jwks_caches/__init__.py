"""Caches of JWK Set documents, which a fetcher may share with other workers."""
