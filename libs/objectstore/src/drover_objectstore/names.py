"""Which names buckets and objects may have.

Source: Amazon S3 user guide, "Bucket naming rules" and "Naming objects". Names of buckets are
taken as Ceph takes them too: upper case and underscores are refused, being refused by S3.
"""

import re

from drover_objectstore.errors import InvalidBucketNameError, InvalidUriError, KeyTooLongError

KEY_BYTES = 1024
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+(\.\d+){3}")


def check_bucket(bucket: str) -> None:
    """Refuse a name that no bucket can have.

    Raises:
        InvalidBucketNameError: It breaks the rules.
    """
    if not _BUCKET.fullmatch(bucket) or ".." in bucket or _ADDRESS.fullmatch(bucket):
        raise InvalidBucketNameError(bucket)


def key_bytes(key: str) -> bytes:
    """Give the bytes of a key, by which keys are sorted. No key is ever a path on disk.

    Raises:
        KeyTooLongError: It has more than 1024.
        InvalidUriError: It is empty or cannot be written in UTF-8.
    """
    try:
        data = key.encode()
    except UnicodeEncodeError:
        raise InvalidUriError from None
    if len(data) > KEY_BYTES:
        raise KeyTooLongError(Size=str(len(data)), MaxSizeAllowed=str(KEY_BYTES))
    if not data:
        raise InvalidUriError("An object needs a key.")
    return data
