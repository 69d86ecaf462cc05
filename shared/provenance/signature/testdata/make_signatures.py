"""Signs and verifies with the OpenSSF tool, the reference for this package's goldens.

    pip install model-signing==1.1.1
    python make_signatures.py sign      makes the keys, signs model/ into tool*.sig (each run makes others)
    python make_signatures.py verify    verifies ours.sig, which TestSignaturesAreTheGolden writes with -update

The keys are examples of this test and protect nothing.
"""

import sys
from pathlib import Path

import model_signing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing, verifying

HERE = Path(__file__).parent
MODEL = HERE / "model"


def make_key(name: str, curve: ec.EllipticCurve) -> None:
    private = ec.generate_private_key(curve)
    (HERE / f"{name}.pem").write_bytes(
        private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (HERE / f"{name}.pub").write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def sign() -> None:
    for name, curve in {"key": ec.SECP256R1(), "other": ec.SECP256R1(), "p384": ec.SECP384R1()}.items():
        make_key(name, curve)
        if name != "other":
            config = signing.Config().use_elliptic_key_signer(private_key=HERE / f"{name}.pem")
            config.sign(MODEL, HERE / ("tool.sig" if name == "key" else f"tool_{name}.sig"))
    shards = hashing.Config().use_shard_serialization()
    signing.Config().use_elliptic_key_signer(private_key=HERE / "key.pem").set_hashing_config(shards).sign(MODEL, HERE / "tool_shards.sig")


def verify() -> None:
    verifying.Config().use_elliptic_key_verifier(public_key=HERE / "key.pub").verify(MODEL, HERE / "ours.sig")
    print("ours.sig is good, says model-signing", model_signing.__version__)
    for what, damage in {
        "a changed file": lambda: (MODEL / "schema.json").write_text("{ }"),
        "a file that was not signed": lambda: (MODEL / "more.txt").write_text("more"),
    }.items():
        kept = (MODEL / "schema.json").read_bytes()
        damage()
        try:
            verifying.Config().use_elliptic_key_verifier(public_key=HERE / "key.pub").verify(MODEL, HERE / "ours.sig")
        except ValueError as refused:
            print(f"{what} is refused: {refused}")
        else:
            sys.exit(f"{what} was not noticed")
        finally:
            (MODEL / "schema.json").write_bytes(kept)
            (MODEL / "more.txt").unlink(missing_ok=True)
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=HERE / "other.pub").verify(MODEL, HERE / "ours.sig")
    except ValueError as refused:
        print(f"another key is refused: {refused}")
    else:
        sys.exit("another key was not noticed")


if __name__ == "__main__":
    {"sign": sign, "verify": verify}[sys.argv[1]]()
