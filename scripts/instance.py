"""One local AWS with the stack on it: an "instance", in .local/<name>/.

Called by scripts/up and scripts/down. Several instances live side by side, each with its own emulator, port and state; they share
the build. Nothing here knows what the stack does: it runs the same `sam build` and `sam deploy` as for an account, with
AWS_ENDPOINT_URL set.

Files of an instance:
  pid            process group of the emulator and of the functions it runs
  env            variables for a shell: `. .local/stack/env`
  endpoint.json  endpoints and stack outputs, for programs
  deployed       digest of the sources that are deployed, and to which emulator
  *.log          emulator, build, deploy
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOCAL = ROOT / ".local"
BUILD = LOCAL / "sam"
STACK = "tidegate"
REGION = "us-east-1"
# Marks every process of an instance, so that a process id that was used again by something else is never signalled.
MARK = "TIDEGATE_INSTANCE"
# What the build reads. Tests and generated files do not change what is deployed.
SOURCES = ("template.yaml", "samconfig.toml", "Makefile", "go.mod", "go.sum", "functions", "shared", "layers", "statemachines",
           "scripts/lib.sh", "scripts/build-function", "scripts/build-onnxruntime-layer", "scripts/build-training-layer",
           "scripts/requirements/zig.txt")
NOT_SOURCES = ("_test.go", ".pyc", ".md")
NOT_SOURCE_FOLDERS = {"testdata", "tests", "__pycache__"}


def say(text):
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(text):
    start = time.monotonic()
    say(f"{text} ...")
    yield
    say(f"{text}: {time.monotonic() - start:.1f} s")


@contextlib.contextmanager
def locked(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Failed(Exception):
    """Ends the program with a message and no traceback."""


def run(command, log, env):
    """Runs a command with its output in a log; on failure the end of the log is the message."""
    with open(log, "w") as out:
        code = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT).returncode
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        raise Failed(f"{command[0]} {command[1]} ended with {code}. The end of {log}:\n{tail}")


def sources_digest(settings):
    """Digest of everything that decides what is deployed. Content, not times: a fresh checkout of the same tree is the same."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name in SOURCES:
        top = ROOT / name
        files = [top] if top.is_file() else sorted(path for path in top.rglob("*") if path.is_file())
        for path in files:
            relative = path.relative_to(ROOT)
            if path.name.endswith(NOT_SOURCES) or NOT_SOURCE_FOLDERS & set(relative.parts):
                continue
            digest.update(f"{relative}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


class Instance:
    def __init__(self, name):
        self.folder = LOCAL / name
        self.pid_file = self.folder / "pid"
        self.deployed_file = self.folder / "deployed"

    # ---- processes

    def processes(self, group):
        """Ids of the living processes of the group that carry this instance's mark."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                # After the name in parentheses: state, parent, process group.
                state, _, pgid = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:3]
                if int(pgid) != group or state in "ZX":
                    continue
                if f"{MARK}={self.folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except (OSError, ValueError):
                continue  # ended meanwhile, or another user's
        return found

    def running(self):
        """The record of the emulator if it runs and answers, otherwise None."""
        try:
            record = json.loads(self.pid_file.read_text())
        except (OSError, ValueError):
            return None
        if record["pid"] in self.processes(record["pid"]) and healthy(record["endpoint"]):
            return record
        return None

    def stop(self):
        try:
            group = json.loads(self.pid_file.read_text())["pid"]
        except (OSError, ValueError):
            return False
        for number, patience in ((signal.SIGTERM, 6), (signal.SIGKILL, 6)):
            if not self.processes(group):
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
            end = time.monotonic() + patience
            while self.processes(group) and time.monotonic() < end:
                time.sleep(0.05)
        left = self.processes(group)
        if left:
            raise Failed(f"processes {left} did not end")
        self.pid_file.unlink(missing_ok=True)
        self.deployed_file.unlink(missing_ok=True)
        for name in ("env", "endpoint.json"):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        return True

    def start(self):
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        endpoint = f"http://127.0.0.1:{port}"
        env = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        env.update(
            {
                MARK: str(self.folder),
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                # Functions call back to the endpoint that the emulator itself is given.
                "AWS_ENDPOINT_URL": endpoint,
                "TMPDIR": str(temporary),
                "STATE_DIR": str(temporary / "state"),
                "S3_DATA_DIR": str(temporary / "s3"),
                # Two services that would bind ports of their own.
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                "PYTHONUNBUFFERED": "1",
            }
        )
        env.update(credentials())
        command = [LOCAL / "venv-emulator" / "bin" / "python", "-m", "ministack.app"]
        with open(self.folder / "emulator.log", "w") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        record = {"pid": process.pid, "endpoint": endpoint}
        self.pid_file.write_text(json.dumps(record))
        end = time.monotonic() + 60
        while not healthy(endpoint):
            if process.poll() is not None or time.monotonic() > end:
                tail = "\n".join((self.folder / "emulator.log").read_text(errors="replace").splitlines()[-20:])
                self.stop()
                raise Failed(f"the emulator did not start:\n{tail}")
            time.sleep(0.05)
        return record

    # ---- the stack

    def deploy(self, record, digest, settings):
        env = tool_env(record["endpoint"])
        with locked(BUILD / "lock"):
            if not built(digest):
                with step("building functions and layers"):
                    run(sam("build", "--build-dir", BUILD / "build"), self.folder / "build.log", {**env, **settings["build"]})
                (BUILD / "digest").write_text(digest)
        overrides = dict(settings["parameters"], ApiEndpointBase=f"{record['endpoint']}/_aws/execute-api")
        with step("deploying"):
            command = sam("deploy", "--template-file", BUILD / "build" / "template.yaml", "--stack-name", STACK)
            command += ["--parameter-overrides", *(f"{key}={value}" for key, value in overrides.items())]
            run(command, self.folder / "deploy.log", env)

    def describe(self, record):
        import boto3  # in the environment that scripts/up runs this in; down does without

        client = boto3.client("cloudformation", endpoint_url=record["endpoint"], region_name=REGION,
                              aws_access_key_id="test", aws_secret_access_key="test")
        stack = client.describe_stacks(StackName=STACK)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        variables = {**credentials(), "AWS_ENDPOINT_URL": record["endpoint"], "TIDEGATE_STACK": STACK, "TIDEGATE_ENDPOINT": outputs["ApiEndpoint"]}
        (self.folder / "env").write_text("".join(f"export {key}='{value}'\n" for key, value in variables.items()))
        (self.folder / "endpoint.json").write_text(
            json.dumps({"aws_endpoint_url": record["endpoint"], "api_endpoint": outputs["ApiEndpoint"], "stack": STACK, "region": REGION,
                        "outputs": outputs}, indent=2) + "\n")
        return outputs


def credentials():
    """Dummy keys, and nothing of the caller's own AWS configuration."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def tool_env(endpoint):
    env = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    env.update(credentials())
    env.update({"AWS_ENDPOINT_URL": endpoint, "SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "0.5", "__SAM_CLI_APP_DIR": str(BUILD / "home")})
    return env


def sam(verb, *arguments):
    command = [LOCAL / "venv-aws" / "bin" / "sam", verb, "--config-file", ROOT / "samconfig.toml", "--config-env", "local", *arguments]
    return [str(part) for part in command]


def healthy(endpoint):
    try:
        with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def built(digest):
    try:
        return (BUILD / "digest").read_text() == digest and (BUILD / "build" / "template.yaml").exists()
    except OSError:
        return False


def local_settings():
    """What differs from an account: parameters, and for which machine things are built."""
    import tomllib

    with open(ROOT / "samconfig.toml", "rb") as file:
        text = tomllib.load(file)["local"]["deploy"]["parameters"]["parameter_overrides"]
    parameters = dict(pair.split("=", 1) for pair in text.split())
    library = subprocess.run([ROOT / "scripts" / "onnxruntime-lib"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    if sys.platform != "linux":
        raise Failed("the local AWS runs functions as processes of this machine, which must be Linux; use a virtual machine or a container")
    machine = os.uname().machine
    architecture = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(machine)
    if architecture is None:
        raise Failed(f"functions can be built for x86_64 and arm64, this machine is {machine}")
    # The emulator runs Python functions in its own environment, so the layer is built for that Python.
    python = subprocess.run(
        [LOCAL / "venv-emulator" / "bin" / "python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    parameters.update(OnnxruntimeLibrary=library, Architecture=architecture, TrainingRuntime=f"python{python}")
    return {"parameters": parameters, "build": {"ARCHITECTURE": architecture, "TRAINING_PYTHON": python}}


def up(name):
    instance = Instance(name)
    with locked(LOCAL / "locks" / f"instance-{name}"):
        record = instance.running()
        if record is None:
            with step("starting the local AWS"):
                record = instance.start()
        settings = local_settings()
        digest = sources_digest(settings)
        stamp = json.dumps({"digest": digest, "pid": record["pid"]})
        if not (instance.deployed_file.exists() and instance.deployed_file.read_text() == stamp):
            instance.deployed_file.unlink(missing_ok=True)
            instance.deploy(record, digest, settings)
            instance.describe(record)
            instance.deployed_file.write_text(stamp)
        endpoint = json.loads((instance.folder / "endpoint.json").read_text())["api_endpoint"]
    say(f"local AWS   {record['endpoint']}  (variables for a shell: . .local/{name}/env)")
    say(f"logs        .local/{name}/*.log")
    print(endpoint)


def down(name):
    with locked(LOCAL / "locks" / f"instance-{name}"):
        say(f"stopped .local/{name}" if Instance(name).stop() else f".local/{name} is not up")


def main():
    parser = argparse.ArgumentParser(description="bring an instance of the local AWS up or down")
    parser.add_argument("verb", choices=("up", "down"))
    parser.add_argument("--instance", default="stack", help="its folder in .local (default: stack)")
    arguments = parser.parse_args()
    try:
        {"up": up, "down": down}[arguments.verb](arguments.instance)
    except Failed as failure:
        say(f"{arguments.verb}: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
