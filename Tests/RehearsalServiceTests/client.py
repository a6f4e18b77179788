#!/usr/bin/env python3
"""A shell in another language: talks to the sidecar over a pipe, and holds every message to the schema.

  client.py PROGRAM STORE KEY_FILE SCHEMA REQUESTS   a long conversation, of which parts are held at the same time
  client.py PROGRAM STORE KEY_FILE SCHEMA session    a short one, shown as it goes

Prints a summary as JSON on its last line. Exit code 1 where anything is not as it should be.
"""

import base64
import collections
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import threading

import jsonschema


class Schema:
    """The messages as the document has them."""

    def __init__(self, path):
        path = pathlib.Path(path).resolve()
        self.document = json.loads(path.read_text("utf-8"))
        jsonschema.Draft7Validator.check_schema(self.document)
        self.resolver = jsonschema.RefResolver(base_uri=path.as_uri(), referrer=self.document)
        self.validators = {}

    def validate(self, message, *place):
        if place not in self.validators:
            reference = {"$ref": "#/definitions/" + "/".join(place)}
            self.validators[place] = jsonschema.Draft7Validator(reference, resolver=self.resolver)
        self.validators[place].validate(message)

    def methods(self):
        return self.document["definitions"]["methods"]


class Fault(Exception):
    """The error of a reply."""

    def __init__(self, error):
        super().__init__(error["data"]["code"])
        self.code = error["data"]["code"]


class Sidecar:
    """The process, and whose answer is awaited. It may be used by several threads."""

    def __init__(self, program, store, key_file, schema):
        self.process = subprocess.Popen(
            [program, "--store", store, "--key-file", key_file],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.schema = schema
        self.ids = itertools.count(1)
        self.awaited = {}
        self.lock = threading.Lock()
        self.sent = self.received = 0
        self.problems = []
        self.errors = b""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.error_reader = threading.Thread(target=self.read_errors, daemon=True)
        self.error_reader.start()

    def read_errors(self):
        self.errors = self.process.stderr.read()

    def read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            for reply in message if isinstance(message, list) else [message]:
                self.settle(reply)
        with self.lock:
            left, self.awaited = self.awaited, {}
        for number, (method, arrived, _) in left.items():
            self.problems.append(f"{method} {number} was not answered")
            arrived.set()

    def settle(self, reply):
        try:
            self.schema.validate(reply, "reply")
            with self.lock:
                method, arrived, place = self.awaited.pop(reply["id"])
                self.received += 1
            if "result" in reply:
                self.schema.validate(reply["result"], "methods", method, "result")
            place.append(reply)
            arrived.set()
        except Exception as problem:  # Whatever it is, it is what we are here to find.
            self.problems.append(f"{type(problem).__name__}: {problem}")

    def prepare(self, method, parameters, notification=False):
        request = {"jsonrpc": "2.0", "method": method}
        if parameters:
            request["params"] = parameters
        if notification:
            return request, None
        number = next(self.ids)
        request["id"] = number if number % 3 else f"request-{number}"
        arrived, place = threading.Event(), []
        with self.lock:
            self.awaited[request["id"]] = (method, arrived, place)
        return request, (arrived, place)

    def send(self, message):
        line = json.dumps(message, ensure_ascii=False).encode() + b"\n"
        with self.lock:
            self.process.stdin.write(line)
            self.process.stdin.flush()
            self.sent += len(message) if isinstance(message, list) else 1

    def begin(self, method, check=True, **parameters):
        request, pending = self.prepare(method, parameters)
        if check:
            self.schema.validate(request, "request")
        self.send(request)
        return pending

    @staticmethod
    def end(pending):
        arrived, place = pending
        if not arrived.wait(120) or not place:
            raise TimeoutError("no answer")
        reply = place[0]
        if "error" in reply:
            raise Fault(reply["error"])
        return reply["result"]

    def call(self, method, **parameters):
        return self.end(self.begin(method, **parameters))

    def batch(self, calls):
        prepared = [self.prepare(method, parameters) for method, parameters in calls]
        self.send([request for request, _ in prepared])
        return [self.end(pending) for _, pending in prepared]

    def close(self):
        self.process.stdin.close()
        self.reader.join(120)
        self.error_reader.join(120)
        status = self.process.wait(120)
        if status != 0:
            self.problems.append(f"exit code {status}")
        if self.errors:
            self.problems.append("something was logged: " + self.errors.decode(errors="replace"))


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def expect_fault(code, act):
    try:
        act()
    except Fault as fault:
        expect(fault.code == code, f"{fault.code} instead of {code}")
        return
    raise AssertionError(f"no {code}")


def mistakes(sidecar):
    """What a shell does wrong, and is told."""
    call = sidecar.call
    wrong = lambda method, **parameters: sidecar.end(sidecar.begin(method, check=False, **parameters))
    for code, act in [
        ("method_not_found", lambda: wrong("run_forget", runId=1)),
        ("method_not_found", lambda: wrong("rpc.discover")),
        ("invalid_params", lambda: wrong("run_get", runId="one")),
        ("invalid_params", lambda: wrong("run_get")),
        ("invalid_params", lambda: wrong("run_get", runId=1, deep=True)),
        ("invalid_params", lambda: wrong("preference_profile_set", key="ui.theme")),
        ("run_not_found", lambda: call("run_get", runId=999_999)),
        ("project_not_found", lambda: call("run_create", projectId=999_999)),
        ("title_invalid", lambda: wrong("project_create", title="")),
        ("date_invalid", lambda: wrong("run_create", projectId=1, recordedAt="1960-01-01T00:00:00Z")),
        ("page_size_invalid", lambda: wrong("run_list", projectId=1, limit=0)),
        ("feedback_invalid", lambda: wrong("run_analyse", runId=1, score=101, comments="")),
        ("artifact_invalid", lambda: wrong("run_attach_audio", runId=1, mediaType="video/mp4", content="AA==")),
        ("preference_key_invalid", lambda: wrong("preference_global_get", key="a b")),
        ("preference_key_sensitive_forbidden", lambda: call("preference_global_set", key="my.api-key", value="x")),
        ("preference_value_sensitive_forbidden",
         lambda: call("preference_profile_set", key="x", value=base64.b64encode(os.urandom(64)).decode())),
        ("preference_value_too_large", lambda: call("preference_profile_set", key="x", value="x" * 32_769)),
        ("profile_exists", lambda: call("profile_create", name="MARIE")),
        ("profile_name_invalid", lambda: call("profile_create", name="a/b")),
        ("profile_not_found", lambda: call("profile_switch", profile="Nobody")),
        ("profile_not_found", lambda: call("profile_db_diagnostics", profile="Nobody")),
        ("coach_route_unknown", lambda: wrong("mascot_get_context_message", route="nowhere")),
        ("time_zone_unknown", lambda: call("progress_get_snapshot", timeZone="Nowhere/Land")),
    ]:
        expect_fault(code, act)


def every_method(sidecar):
    """Each method once, as it is meant."""
    call = sidecar.call
    project = call("project_create", title="Ma présentation", audience="executives", plannedMinutes=7)["id"]
    run = call("run_create", projectId=project, title="First", recordedAt="2026-03-29T01:30:00Z", durationSeconds=400)["id"]
    audio = os.urandom(100_000)
    call("run_attach_audio", runId=run, mediaType="audio/ogg", content=base64.b64encode(audio).decode())
    call("run_attach_transcript", runId=run, text="Bonjour à tous 👋\nOne\ttwo")
    expect_fault("artifact_exists", lambda: call("run_attach_transcript", runId=run, text="x"))
    call("run_attach_transcript", runId=run, text="Bonjour", replace=True)
    expect(base64.b64decode(call("run_audio", runId=run)["content"]) == audio, "the audio comes back")
    expect(call("run_transcript", runId=run)["text"] == "Bonjour", "the transcript comes back")
    expect(call("run_analyse", runId=run, score=80, comments="good")["feedback"]["score"] == 80, "feedback is linked")
    expect(call("run_get", runId=run) == call("run_latest", projectId=project), "the only run is the latest")
    blueprint = call("talks_get_blueprint", projectId=project)
    expect(blueprint["framework"] == "pyramid" and sum(s["seconds"] for s in blueprint["sections"]) == 420, "the blueprint")
    expect(call("mascot_get_context_message", route="review", locale="fr-CA")["locale"] == "fr", "the coach speaks French")
    call("preference_profile_set", key="coach.weekly_target", value="9")
    expect(call("progress_get_snapshot", timeZone="Europe/Paris")["weeklyTarget"] == 9, "the target is a preference")
    expect(call("preference_profile_set", key="coach.weekly_target", value=None)["value"] is None, "null takes it away")
    call("preference_global_set", key="ui.theme", value="dark")
    call("profile_create", name="Second")
    call("profile_rename", profile="Second", name="Zweitens")
    call("profile_switch", profile="Zweitens")
    expect(call("run_latest") is None and call("project_list") == [], "another profile has nothing of this one's")
    expect(call("preference_global_get", key="ui.theme")["value"] == "dark", "what is global is for all")
    call("profile_delete", profile="Zweitens")
    expect_fault("profile_not_open", lambda: call("project_list"))
    expect([p["name"] for p in call("profile_list")] == ["Marie"], "what was deleted is gone")
    call("profile_switch", profile="Marie")


def converse(program, store, key_file, schema, requests):
    sidecar = Sidecar(program, store, key_file, schema)
    call = sidecar.call
    call("profile_create", name="Marie")
    expect_fault("profile_not_open", lambda: call("run_latest"))
    call("profile_switch", profile="Marie")
    every_method(sidecar)
    mistakes(sidecar)

    projects = [call("project_create", title=f"Talk {n}")["id"] for n in range(4)]
    made = collections.Counter()
    analysed = collections.Counter()
    guard = threading.Lock()

    def alone(share, seed):
        """One thread of a shell: asks, waits, asks again. Its project is its own, so that it knows what must be there."""
        dice = random.Random(seed)
        project = projects[seed % len(projects)]
        mine = []
        while sidecar.sent < share:
            match dice.randrange(8):
                case 0 | 1:
                    run = call("run_create", projectId=project, durationSeconds=dice.randrange(900))
                    mine.append(run["id"])
                    with guard:
                        made[project] += 1
                case 2 if mine:
                    run = call("run_analyse", runId=dice.choice(mine), score=dice.randrange(101), comments="ok")
                    with guard:
                        analysed[run["id"]] += 1
                case 3:
                    page = call("run_list", projectId=project, limit=5)
                    newest = [r["id"] for r in page["runs"]]
                    expect(newest == sorted(mine, reverse=True)[:5], "what was made is listed at once")
                case 4:
                    progress = call("progress_get_snapshot", timeZone=dice.choice(["Asia/Tokyo", "America/New_York"]))
                    expect(progress["attempts"] >= len(mine), "what was made is counted at once")
                case 5:
                    value = str(dice.random())
                    call("preference_profile_set", key=f"thread.{seed}", value=value)
                    expect(call("preference_profile_get", key=f"thread.{seed}")["value"] == value, "what was set is got")
                case 6 if mine:
                    expect(call("run_get", runId=mine[-1])["projectId"] == project, "the run is of its project")
                case _:
                    expect(call("talks_get_blueprint", projectId=project)["projectId"] == project, "the blueprint")

    # Several at once: four threads on one pipe.
    failures = []

    def guarded(*arguments):
        try:
            alone(*arguments)
        except Exception as failure:
            failures.append(f"{type(failure).__name__}: {failure}")

    threads = [threading.Thread(target=guarded, args=(requests // 2, n), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sidecar.problems += failures

    # Without waiting: many requests before the first answer. What is sent later sees what was sent before.
    project = call("project_create", title="Pipelined")["id"]
    while sidecar.sent < requests * 8 // 10:
        before = made[project]
        pending = [sidecar.begin("run_create", projectId=project) for _ in range(20)]
        listing = sidecar.begin("run_list", projectId=project, limit=500)
        reads = [sidecar.begin("run_latest", projectId=project) for _ in range(20)]
        created = [sidecar.end(p)["id"] for p in pending]
        made[project] += len(created)
        expect(len(sidecar.end(listing)["runs"]) == min(500, before + 20), "a list sees what was sent before it")
        expect({sidecar.end(p)["id"] for p in reads} == {created[-1]}, "the latest is the last that was sent")

    # Batches, with notifications in them.
    while sidecar.sent < requests:
        calls = [("run_create", {"projectId": project})] * 25 + [("run_latest", {"projectId": project})]
        results = sidecar.batch(calls)
        made[project] += 25
        expect(results[-1]["id"] == results[-2]["id"], "a batch is done in its order")
        notice, _ = sidecar.prepare("run_create", {"projectId": project}, notification=True)
        sidecar.send([notice] * 3)
        made[project] += 3

    found = call("profile_db_diagnostics")
    expect(found["profile"]["condition"] == "healthy" and found["profile"]["integrityCheck"] == "ok", "the profile is whole")
    sidecar.close()

    # What was answered is kept.
    again = Sidecar(program, store, key_file, schema)
    again.call("profile_switch", profile="Marie")
    for project, count in made.items():
        seen, before = 0, None
        while True:
            page = again.call("run_list", projectId=project, limit=500, **({"before": before} if before else {}))
            seen += len(page["runs"])
            before = page.get("next")
            if not before:
                break
        if seen != count:
            again.problems.append(f"{seen} runs of {count} in project {project}")
    progress = again.call("progress_get_snapshot")
    if progress["attempts"] != sum(made.values()) + 1 or progress["feedbackReady"] != len(analysed) + 1:
        again.problems.append("the counts do not fit")
    again.close()
    return {
        "requests": sidecar.sent + again.sent, "replies": sidecar.received + again.received, "runs": sum(made.values()),
        "methods": len(schema.methods()), "problems": (sidecar.problems + again.problems)[:10],
    }


def session(program, store, key_file, schema):
    """A short conversation, as the demo shows it."""
    sidecar = Sidecar(program, store, key_file, schema)

    def shown(value):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= 160 else text[:159] + "…"

    def show(method, **parameters):
        result = sidecar.call(method, **parameters)
        print(f"> {shown({'method': method, 'params': parameters})}\n< {shown(result)}")
        return result

    show("profile_create", name="Ada")
    show("profile_switch", profile="Ada")
    project = show("project_create", title="What the engine can do", audience="students", plannedMinutes=15)["id"]
    run = show("run_create", projectId=project, durationSeconds=870)["id"]
    show("run_attach_transcript", runId=run, text="It weaves algebraic patterns …")
    show("run_analyse", runId=run, score=85, comments="Slower in the middle.")
    show("run_list", projectId=project)
    show("preference_profile_set", key="coach.weekly_target", value="5")
    show("progress_get_snapshot", timeZone="Europe/London")
    show("talks_get_blueprint", projectId=project)
    show("mascot_get_context_message", route="home", locale="fr")
    try:
        show("preference_profile_set", key="speech.api_key", value="…")
    except Fault as fault:
        print(f"> {shown({'method': 'preference_profile_set', 'params': {'key': 'speech.api_key', 'value': '…'}})}")
        print(f"< refused: {fault.code}")
    found = show("profile_db_diagnostics")
    expect(found["global"]["condition"] == "healthy" and found["profile"]["condition"] == "healthy", "both are healthy")
    sidecar.close()
    return {"requests": sidecar.sent, "replies": sidecar.received, "problems": sidecar.problems}


def main():
    program, store, key_file, schema_path, what = sys.argv[1:]
    schema = Schema(schema_path)
    if what == "session":
        summary = session(program, store, key_file, schema)
    else:
        summary = converse(program, store, key_file, schema, int(what))
    print(json.dumps(summary))
    return 1 if summary["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
