"""What can go wrong, each with the code and the status by which S3 names it.

Source: Amazon S3 API reference, "Error responses".
"""

from typing import ClassVar


class S3Error(Exception):
    """Say why a request was not served.

    `facts` are further elements of the answer, such as `BucketName`, which clients read.
    """

    code: ClassVar[str] = "InternalError"
    status: ClassVar[int] = 500
    words: ClassVar[str] = "The server met a fault of its own."

    def __init__(self, message: str = "", **facts: str) -> None:
        self.message = message or self.words
        self.facts = facts
        super().__init__(self.message)


class NoSuchBucketError(S3Error):
    """Say that there is no such bucket."""

    code = "NoSuchBucket"
    status = 404

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        super().__init__("The specified bucket does not exist.", BucketName=bucket)


class BucketTakenError(S3Error):
    """Say that a bucket of that name is another owner's."""

    code = "BucketAlreadyExists"
    status = 409

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        super().__init__("A bucket of this name is there already; take another name.")


class BucketNotEmptyError(S3Error):
    """Say that a bucket that still holds something cannot be deleted."""

    code = "BucketNotEmpty"
    status = 409

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        super().__init__("The bucket you tried to delete is not empty.", BucketName=bucket)


class NoSuchKeyError(S3Error):
    """Say that a bucket has no such object."""

    code = "NoSuchKey"
    status = 404

    def __init__(self, bucket: str, key: str) -> None:
        self.bucket, self.key = bucket, key
        super().__init__("The specified key does not exist.", Key=key)


class NoSuchVersionError(S3Error):
    """Say that an object has no such version; every object has the one called `null`."""

    code = "NoSuchVersion"
    status = 404
    words = "The specified version does not exist."


class NoSuchUploadError(S3Error):
    """Say that a multipart upload is not there: completed, aborted, or never begun."""

    code = "NoSuchUpload"
    status = 404

    def __init__(self, upload: str) -> None:
        self.upload = upload
        super().__init__("The specified multipart upload does not exist.", UploadId=upload)


class InvalidBucketNameError(S3Error):
    """Say that a bucket cannot have that name."""

    code = "InvalidBucketName"
    status = 400

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        super().__init__(
            "A bucket's name has 3 to 63 small letters, digits, dots and hyphens, and begins and "
            "ends with a letter or digit."
        )


class KeyTooLongError(S3Error):
    """Say that a key has more bytes than S3 allows."""

    code = "KeyTooLongError"
    status = 400
    words = "Your key is too long: 1024 bytes are allowed."


class InvalidUriError(S3Error):
    """Say that a path is no UTF-8, or cannot be read."""

    code = "InvalidURI"
    status = 400
    words = "Couldn't parse the specified URI."


class TooManyBucketsError(S3Error):
    """Say that an owner has as many buckets as are allowed."""

    code = "TooManyBuckets"
    status = 400
    words = "You have as many buckets as you are allowed."


class TooManyUploadsError(S3Error):
    """Say that too many multipart uploads of a bucket are unfinished."""

    code = "TooManyMultipartUploads"
    status = 400
    words = "Too many multipart uploads of this bucket are unfinished: complete or abort some."


class AccessDeniedError(S3Error):
    """Say that somebody may not do that."""

    code = "AccessDenied"
    status = 403
    words = "Access Denied."


class InvalidAccessKeyIdError(S3Error):
    """Say that nobody has that access key."""

    code = "InvalidAccessKeyId"
    status = 403
    words = "The access key that you provided does not exist in our records."


class SignatureDoesNotMatchError(S3Error):
    """Say that a request was signed with another secret, or changed on its way."""

    code = "SignatureDoesNotMatch"
    status = 403
    words = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    )


class RequestTimeTooSkewedError(S3Error):
    """Say that two clocks differ by more than a quarter of an hour."""

    code = "RequestTimeTooSkewed"
    status = 403
    words = "The difference between the request time and the server's time is too large."


class ExpiredError(AccessDeniedError):
    """Say that a presigned URL is too old."""

    words = "Request has expired."


class AuthorizationMalformedError(S3Error):
    """Say that an `Authorization` header cannot be read."""

    code = "AuthorizationHeaderMalformed"
    status = 400
    words = "The authorization header is malformed."


class QueryAuthorizationError(S3Error):
    """Say that the parameters of a presigned URL cannot be read."""

    code = "AuthorizationQueryParametersError"
    status = 400
    words = "The authorization parameters of the query cannot be read."


class InvalidRequestError(S3Error):
    """Say that parts of a request do not fit each other."""

    code = "InvalidRequest"
    status = 400
    words = "The request is not valid."


class InvalidArgumentError(S3Error):
    """Say that a parameter or header has a value that cannot be."""

    code = "InvalidArgument"
    status = 400
    words = "Invalid argument."


class MalformedXmlError(S3Error):
    """Say that a body is not the XML that it should be."""

    code = "MalformedXML"
    status = 400
    words = "The XML you provided was not well-formed or did not validate against our schema."


class InvalidDigestError(S3Error):
    """Say that a `Content-MD5` is no MD5."""

    code = "InvalidDigest"
    status = 400
    words = "The Content-MD5 you specified was invalid."


class BadDigestError(S3Error):
    """Say that what came is not what was sent."""

    code = "BadDigest"
    status = 400
    words = "The checksum you specified did not match what we received."


class PayloadHashError(S3Error):
    """Say that a body is not the one that was signed."""

    code = "XAmzContentSHA256Mismatch"
    status = 400
    words = "The provided 'x-amz-content-sha256' header does not match what was computed."


class IncompleteBodyError(S3Error):
    """Say that fewer bytes came than were announced."""

    code = "IncompleteBody"
    status = 400
    words = "You did not provide the number of bytes specified by the Content-Length header."


class MissingLengthError(S3Error):
    """Say that the length of a body has to be told."""

    code = "MissingContentLength"
    status = 411
    words = "You must provide the Content-Length HTTP header."


class EntityTooLargeError(S3Error):
    """Say that an upload is larger than is allowed."""

    code = "EntityTooLarge"
    status = 400
    words = "Your proposed upload exceeds the maximum allowed size."


class EntityTooSmallError(S3Error):
    """Say that a part that is not the last is smaller than is allowed."""

    code = "EntityTooSmall"
    status = 400
    words = "A part that is not the last is smaller than the minimum allowed size."


class MetadataTooLargeError(S3Error):
    """Say that an object's own headers have more bytes than are allowed."""

    code = "MetadataTooLarge"
    status = 400
    words = "Your metadata headers exceed the maximum allowed metadata size."


class RequestTimeoutError(S3Error):
    """Say that a client was silent for too long."""

    code = "RequestTimeout"
    status = 400
    words = "Your socket connection was not read from or written to within the timeout period."


class InvalidPartError(S3Error):
    """Say that a part is not there, or is another than was told."""

    code = "InvalidPart"
    status = 400
    words = "One or more of the specified parts could not be found, or its ETag is another."


class InvalidPartOrderError(S3Error):
    """Say that parts were not listed in ascending order."""

    code = "InvalidPartOrder"
    status = 400
    words = "The list of parts was not in ascending order."


class InvalidRangeError(S3Error):
    """Say that an object has no such range of bytes."""

    code = "InvalidRange"
    status = 416
    words = "The requested range is not satisfiable."

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(ActualObjectSize=str(size))


class PreconditionFailedError(S3Error):
    """Say that an object is not as a client supposed."""

    code = "PreconditionFailed"
    status = 412

    def __init__(self, condition: str) -> None:
        self.condition = condition
        super().__init__(
            "At least one of the preconditions you specified did not hold.", Condition=condition
        )


class NotModifiedError(S3Error):
    """Say that an object is as a client knows it; the answer has no body."""

    code = "NotModified"
    status = 304
    words = "Not Modified."


class MethodNotAllowedError(S3Error):
    """Say that a method does not go with what was named."""

    code = "MethodNotAllowed"
    status = 405
    words = "The specified method is not allowed against this resource."


class UnsupportedError(S3Error):
    """Say that this store does not do what S3 does there."""

    code = "NotImplemented"
    status = 501

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"This store does not implement {what}.")


class NotConfiguredError(S3Error):
    """Say that a bucket has no configuration of some kind, under the code that S3 has for it."""

    status = 404

    def __init__(self, code: str) -> None:
        self.kind = code
        super().__init__("The bucket has no such configuration.")


class StorageFullError(S3Error):
    """Say that the disk, or what an owner may use of it, is full."""

    code = "InsufficientStorage"
    status = 507
    words = "There is no room for that: the disk, or your share of it, is full."


class StoreInUseError(S3Error):
    """Say that another process has the folder of a store."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        super().__init__(f"{folder!r} is in use by another process: one at a time may serve it")


class StoreVersionError(S3Error):
    """Say that a folder was written by another version, which this one cannot read."""

    def __init__(self, folder: str, found: int) -> None:
        self.folder, self.found = folder, found
        super().__init__(
            f"{folder!r} has format {found}, which this version does not know: install a newer one"
        )


def code_of(error: S3Error) -> str:
    """Give the word by which S3 names an error."""
    return error.kind if isinstance(error, NotConfiguredError) else error.code
