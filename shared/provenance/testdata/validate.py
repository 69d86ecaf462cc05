"""Validates the documents that TestDocuments writes with -update.

    pip install "cyclonedx-python-lib[json-validation]==11.12.0" in-toto-attestation==0.9.3
    python validate.py

Bills of materials: CycloneDX's own JSON schema of 1.6, strictly. Statements: in-toto's and SLSA's protobuf
definitions, which take no field that they do not have, and their required fields.
"""

import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement, statement_pb2

HERE = Path(__file__).parent


def bom(path: Path) -> None:
    if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text(encoding="utf-8")):
        sys.exit(f"{path.name}: {fault}")


def slsa(path: Path) -> None:
    doc = json_format.Parse(path.read_text(encoding="utf-8"), statement_pb2.Statement())
    statement.Statement.copy_from_pb(doc).validate()
    predicate = json_format.ParseDict(json_format.MessageToDict(doc.predicate), provenance_pb2.Provenance())
    if doc.predicate_type != "https://slsa.dev/provenance/v1":
        sys.exit(f"{path.name}: predicate type {doc.predicate_type}")
    definition = predicate.build_definition
    if not definition.build_type or not definition.external_parameters or not predicate.run_details.builder.id:
        sys.exit(f"{path.name}: buildType, externalParameters and builder.id are required")
    for dependency in definition.resolved_dependencies:
        if not dependency.uri and not dependency.digest:
            sys.exit(f"{path.name}: a dependency has neither uri nor digest")


if __name__ == "__main__":
    checked = [(bom, p) for p in sorted(HERE.glob("*.bom.golden.json"))] + [(slsa, p) for p in sorted(HERE.glob("*.statement.golden.json"))]
    for check, path in checked:
        check(path)
        print(path.name, "is valid,", len(json.loads(path.read_text(encoding="utf-8"))), "fields")
