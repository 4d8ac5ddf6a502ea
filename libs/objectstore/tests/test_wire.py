"""What no tame client sends: bodies in signed chunks, broken ones, old ones, paths, and silence."""

import base64
import hashlib
import os
import socket
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from objectstore_served import Keys, Served, Store, client, until
from objectstore_signer import EMPTY, Signer, half_sent

MIB = 1024 * 1024


def talk(
    url: str, method: str, path: str, headers: dict[str, str], body: bytes
) -> tuple[int, bytes]:
    """Send exactly these bytes; give status and body."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as wire:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        wire.sendall(
            f"{method} {path} HTTP/1.1\r\n{lines}connection: close\r\n\r\n".encode() + body
        )
        told = b""
        while data := wire.recv(65536):
            told += data
    head, _, rest = told.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


def put(s3: Store, path: str, payload: str, body: Any, **headers: str) -> tuple[int, bytes]:
    signer = Signer(s3.url, s3.ann)
    given = signer.headers("PUT", quote(path), payload, **headers)
    data = body(signer) if callable(body) else body
    given["content-length"] = str(len(data))
    return talk(s3.url, "PUT", quote(path), given, data)


def crc(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()


DATA = os.urandom(150_000)
PIECES = [DATA[:65_536], DATA[65_536:131_072], DATA[131_072:]]
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"


def chunks(signer: Signer) -> bytes:
    return b"".join(map(signer.chunk, [*PIECES, b""])) + b"\r\n"


def test_a_body_in_signed_chunks_is_what_was_sent(s3: Store, boto: Any, bucket: str) -> None:
    """Java and Go send large bodies so."""
    size = str(len(DATA))
    path = f"/{bucket}/a b/ü"
    told = put(s3, path, SIGNED, chunks, x_amz_decoded_content_length=size,
               content_encoding="aws-chunked")  # fmt: skip

    got = boto.get_object(Bucket=bucket, Key="a b/ü")
    assert (200, DATA) == (told[0], got["Body"].read())
    assert got.get("ContentEncoding", "") in ("", "aws-chunked")  # Ceph keeps the word


def test_a_chunk_that_was_changed_is_refused(s3: Store, boto: Any, bucket: str) -> None:
    """The signature of each chunk is there to be checked."""

    def changed(signer: Signer) -> bytes:
        return chunks(signer).replace(PIECES[1][:8], b"EVILEVIL")

    size = str(len(DATA))
    status, _ = put(s3, f"/{bucket}/k", SIGNED, changed, x_amz_decoded_content_length=size)

    assert status in (400, 403)
    assert [] == boto.list_objects(Bucket=bucket).get("Contents", [])


# Ceph 16 is older than what follows: only the embedded store.


@pytest.fixture
def mine(embedded: Served) -> Store:
    return Store("embedded", embedded.url, *embedded.users[:2], count=1000)


@pytest.fixture
def home(mine: Store, embedded: Served) -> Any:
    """Give a bucket in which nothing may be left, and its client."""
    boto = mine.client()
    bucket = mine.bucket(boto) + f"-{os.urandom(4).hex()}"
    boto.create_bucket(Bucket=bucket)
    return bucket, boto


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("right", [True, False])
def test_checksums_in_trailers_are_verified(
    mine: Store, home: Any, signed: bool, right: bool
) -> None:
    """boto3 and the AWS command line send them behind the body, where nothing else protects it."""
    bucket, boto = home
    value = crc(DATA) if right else crc(b"other")
    name = "x-amz-checksum-crc32"

    def body(signer: Signer) -> bytes:
        if signed:
            return b"".join(map(signer.chunk, [*PIECES, b""])) + signer.trailer(name, value)
        plain = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in PIECES)
        return plain + f"0\r\n{name}:{value}\r\n\r\n".encode()

    kind = f"{SIGNED}-TRAILER" if signed else "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    status, told = put(mine, f"/{bucket}/k", kind, body, x_amz_trailer=name,
                       x_amz_decoded_content_length=str(len(DATA)))  # fmt: skip

    if right:
        head = boto.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert (200, value, "FULL_OBJECT") == (status, head["ChecksumCRC32"], head["ChecksumType"])
        assert DATA == boto.get_object(Bucket=bucket, Key="k")["Body"].read()
    else:
        assert (400, True) == (status, b"<Code>BadDigest</Code>" in told)
        assert [] == boto.list_objects(Bucket=bucket).get("Contents", [])


def test_trailers_that_were_changed_are_refused(mine: Store, home: Any) -> None:
    def body(signer: Signer) -> bytes:
        made = b"".join(map(signer.chunk, [*PIECES, b""]))
        return made + signer.trailer("x-amz-checksum-crc32", crc(b"x")).replace(
            crc(b"x").encode(), crc(DATA).encode()
        )

    status, told = put(
        mine, f"/{home[0]}/k", f"{SIGNED}-TRAILER", body, x_amz_trailer="x-amz-checksum-crc32",
        x_amz_decoded_content_length=str(len(DATA)),
    )  # fmt: skip

    assert (403, True) == (status, b"SignatureDoesNotMatch" in told)


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n",
        b"-1\r\n",
        b"5\r\nhello!!0\r\n\r\n",
        b"5\r\nhello\r\n",
        b"x" * 5000,
        b"1\r\nx\r\n0\r\n\r\n",
    ],
)
def test_chunks_that_are_none_are_refused(mine: Store, home: Any, body: bytes) -> None:
    bucket, boto = home
    kind = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    status, told = put(mine, f"/{bucket}/k", kind, body, x_amz_decoded_content_length="5")

    assert (400, True) == (status, b"<Error>" in told)
    assert [] == boto.list_objects(Bucket=bucket).get("Contents", [])


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_are_kept_and_told(home: Any, name: str) -> None:
    """With boto3, which verifies what it gets back: also of objects that came in parts."""
    bucket, boto = home
    sent = boto.put_object(Bucket=bucket, Key="k", Body=DATA, ChecksumAlgorithm=name)
    got = boto.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")

    assert DATA == got["Body"].read()
    assert sent[f"Checksum{name}"] == got[f"Checksum{name}"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CRC32", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("CRC32C", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
    ],
)
def test_checksums_of_parts_make_that_of_the_object(home: Any, name: str, kind: str) -> None:
    bucket, boto = home
    words: dict[str, Any] = {"Bucket": bucket, "Key": "k"}
    made = boto.create_multipart_upload(**words, ChecksumAlgorithm=name, ChecksumType=kind)
    words["UploadId"] = made["UploadId"]
    parts = [os.urandom(5 * MIB), b"end"]
    rows = []
    for number, part in enumerate(parts, 1):
        told = boto.upload_part(**words, PartNumber=number, Body=part, ChecksumAlgorithm=name)
        sums = {f"Checksum{name}": told[f"Checksum{name}"]}
        rows.append({"PartNumber": number, "ETag": told["ETag"]} | sums)
    done = boto.complete_multipart_upload(**words, MultipartUpload={"Parts": rows})

    assert done["ChecksumType"] == kind
    if kind == "FULL_OBJECT":
        whole = boto.put_object(
            Bucket=bucket, Key="whole", Body=b"".join(parts), ChecksumAlgorithm=name
        )
        assert whole[f"Checksum{name}"] == done[f"Checksum{name}"]
    else:
        assert done[f"Checksum{name}"].endswith("-2")


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_wrong_is_told(mine: Store, minutes: int) -> None:
    """A request that somebody wrote down must not work for ever."""
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    headers = Signer(mine.url, mine.ann, at=at).headers("GET", "/", EMPTY)
    status, told = talk(mine.url, "GET", "/", headers, b"")

    assert (403, True) == (status, b"<Code>RequestTimeTooSkewed</Code>" in told)


def test_a_header_that_was_not_signed_is_refused(mine: Store, home: Any) -> None:
    """Else whoever carries a request could make a copy of something of it."""
    signer = Signer(mine.url, mine.ann)
    headers = signer.headers("PUT", f"/{home[0]}/k", EMPTY)
    headers |= {"x-amz-copy-source": f"{home[0]}/other", "content-length": "0"}

    assert 403 == talk(mine.url, "PUT", f"/{home[0]}/k", headers, b"")[0]


def test_a_body_that_is_not_the_signed_one_is_refused(mine: Store, home: Any) -> None:
    bucket, boto = home
    status, told = put(mine, f"/{bucket}/k", hashlib.sha256(b"signed").hexdigest(), b"other!")

    assert (400, True) == (status, b"XAmzContentSHA256Mismatch" in told)
    assert [] == boto.list_objects(Bucket=bucket).get("Contents", [])


@pytest.mark.parametrize("key", ["../../../../etc/passwd", "./x", "a/../b", "/abs", "//", "..%2f"])
def test_a_path_in_a_key_is_a_key(mine: Store, home: Any, embedded: Served, key: str) -> None:
    """Whatever tries to climb out of the folder is an object of that name."""
    bucket, boto = home
    outside = sorted(embedded.home.parent.iterdir())
    payload = hashlib.sha256(b"x" * 70_000).hexdigest()
    status, _ = put(mine, f"/{bucket}/{key}", payload, b"x" * 70_000)

    assert 200 == status
    assert [key] == [row["Key"] for row in boto.list_objects(Bucket=bucket)["Contents"]]
    assert outside == sorted(embedded.home.parent.iterdir())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Delete>",
        b"<Other/>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><Delete><Object><Key>&a;</Key></Object></Delete>',
        b"<Delete><Object><Key>k</Key></Object>" + b"<a>" * 99 + b"</a>" * 99 + b"</Delete>",
        b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>",
        b"\xff\xfe",
    ],
)
def test_xml_that_is_no_list_is_refused(mine: Store, home: Any, body: bytes) -> None:
    """Neither entities nor depth may make much of little."""
    signer = Signer(mine.url, mine.ann)
    payload = hashlib.sha256(body).hexdigest()
    headers = signer.headers("POST", f"/{home[0]}", payload, query="delete=")
    headers["content-length"] = str(len(body))
    status, told = talk(mine.url, "POST", f"/{home[0]}?delete=", headers, body)

    assert (400, True) == (status, b"<Code>MalformedXML</Code>" in told)


def test_what_is_not_done_here_is_said(home: Any) -> None:
    """A client that believes in a policy which nobody keeps is worse off than one that is told."""
    bucket, boto = home
    from botocore.exceptions import ClientError

    for ask in (
        lambda: boto.put_bucket_policy(Bucket=bucket, Policy="{}"),
        lambda: boto.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
        ),
        lambda: boto.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": []}),
    ):
        with pytest.raises(ClientError, match="NotImplemented"):
            ask()
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        boto.get_bucket_policy(Bucket=bucket)


def test_conditions_of_writing_hold(home: Any) -> None:
    """Two who make the same object must not both believe that they were first."""
    bucket, boto = home
    from botocore.exceptions import ClientError

    first = boto.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        boto.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        boto.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch='"0"')
    boto.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=first["ETag"])

    assert b"3" == boto.get_object(Bucket=bucket, Key="k")["Body"].read()


@pytest.mark.parametrize("part", [False, True])
def test_a_client_that_goes_in_the_middle_leaves_nothing(
    mine: Store, home: Any, embedded: Served, part: bool
) -> None:
    """Half an object, or half a part, must neither be seen nor stay on disk."""
    bucket, boto = home
    before = embedded.blobs()
    path, query = f"/{bucket}/k", ""
    if part:
        upload = boto.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        query = f"partNumber=1&uploadId={upload}"
    with half_sent(mine.url, mine.ann, path, query):
        until(lambda: len(embedded.blobs()) > len(before))

    until(lambda: embedded.blobs() == before)
    assert [] == boto.list_objects(Bucket=bucket).get("Contents", [])
    if part:
        assert [] == boto.list_parts(Bucket=bucket, Key="k", UploadId=upload).get("Parts", [])


def test_a_refusal_comes_before_the_body(mine: Store) -> None:
    """Who may not write must not send a gigabyte to learn it; and who may is told to go on."""
    signer = Signer(mine.url, Keys(mine.ann.access, "wrong"))
    headers = signer.headers("PUT", "/x/k", "UNSIGNED-PAYLOAD")
    headers |= {"content-length": str(1024 * MIB), "expect": "100-continue"}

    status, told = talk(mine.url, "PUT", "/x/k", headers, b"")
    assert (403, True) == (status, b"SignatureDoesNotMatch" in told)


def test_the_word_to_go_on_comes_at_once(mine: Store, home: Any) -> None:
    """Botocore waits a second for it before every body."""
    signer = Signer(mine.url, mine.ann)
    headers = signer.headers("PUT", f"/{home[0]}/k", "UNSIGNED-PAYLOAD")
    headers |= {"content-length": "5", "expect": "100-continue"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    parts = urlsplit(mine.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as wire:
        wire.sendall(f"PUT /{home[0]}/k HTTP/1.1\r\n{lines}\r\n".encode())
        assert wire.recv(65536).startswith(b"HTTP/1.1 100 ")
        wire.sendall(b"hello")
        assert wire.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_keys_with_control_characters_can_be_listed(home: Any) -> None:
    bucket, boto = home
    boto.put_object(Bucket=bucket, Key="a\x01\tb\n", Body=b"")

    assert ["a\x01\tb\n"] == [row["Key"] for row in boto.list_objects_v2(Bucket=bucket)["Contents"]]


def test_a_server_under_a_path_signs_it_along(tmp_path: Any) -> None:
    """As the Qarnot server does: one port for two things."""
    import threading

    import uvicorn

    from drover_objectstore import Account, ObjectStore, make_app

    class Ann:
        def lookup(self, access_key: str) -> Account | None:
            return Account(owner="ann", secret="s") if access_key == "ann@x.org/+" else None

    store = ObjectStore(tmp_path / "s")
    app = make_app(store, Ann(), prefix="/s3")
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/s3"
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        boto = client(url, Keys("ann@x.org/+", "s"))
        boto.create_bucket(Bucket="one")
        boto.put_object(Bucket="one", Key="a b", Body=b"x")
        assert ["one"] == [row["Name"] for row in boto.list_buckets()["Buckets"]]
        from test_s3 import raw

        for version in ("s3", "s3v4"):
            signing = client(url, Keys("ann@x.org/+", "s"), signature_version=version)
            words = {"Bucket": "one", "Key": "a b"}
            assert (200, b"x") == raw(signing.generate_presigned_url("get_object", words))
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        store.close()


def test_an_object_takes_so_much_metadata_and_no_more(home: Any) -> None:
    """It lies in the index, which is to stay small."""
    bucket, boto = home
    boto.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "m" * 1900})
    with pytest.raises(boto.exceptions.ClientError, match="MetadataTooLarge"):
        boto.put_object(Bucket=bucket, Key="k", Body=b"y", Metadata={"a": "m" * 2100})

    assert b"x" == boto.get_object(Bucket=bucket, Key="k")["Body"].read()


def test_to_delete_nothing_is_a_mistake(home: Any) -> None:
    """A client that lists what is to go, and lists nothing, has gone wrong before."""
    bucket, boto = home
    boto.put_object(Bucket=bucket, Key="k", Body=b"x")
    with pytest.raises(boto.exceptions.ClientError, match="MalformedXML"):
        boto.delete_objects(Bucket=bucket, Delete={"Objects": []})

    assert 1 == boto.list_objects_v2(Bucket=bucket)["KeyCount"]


def test_a_version_that_is_not_there_is_not_deleted(home: Any) -> None:
    """The object that has taken its place must stay."""
    bucket, boto = home
    boto.put_object(Bucket=bucket, Key="k", Body=b"x")
    told = boto.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": "older"}]}
    )

    assert ["NoSuchVersion"] == [row["Code"] for row in told["Errors"]]
    assert b"x" == boto.get_object(Bucket=bucket, Key="k")["Body"].read()
