"""MLflow's UI as it opens for whoever reads runs of `ser`: on them, with the columns that matter.

The UI keeps in a browser how it looks, and has no setting for how it looks at first. So its page
gets a script in front of its own, which only answers where the browser has kept nothing yet: what
the reader chooses stays. Tested with MLflow's versions in ``.ci/oldest``; where another
keeps these things under other names, the UI looks as MLflow ships it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from ser.core.paths import tracking_uri
from ser.tracking import mlflow_compat
from ser.tracking.client import LOG_ERRORS, client_of
from ser.tracking.queries import NEWEST

# Columns of the table of runs, from the left, and widths in pixels: they fit a window of 1280.
_WIDTHS = {
    "attributes.`Run Name`": 270,
    "runDateAndNestInfo": 130,  # "Created"
    "metrics.`test_uar`": 75,
    "metrics.`test_uar_low`": 97,
    "metrics.`test_uar_high`": 100,
    "metrics.`cv_uar_mean`": 102,
    "tags.`split`": 72,
    "tags.`features`": 82,
    "params.`seed`": 52,
}
_TABLE = {
    "selectedColumns": list(_WIDTHS),
    "columnOrder": list(_WIDTHS),
    "columnWidths": _WIDTHS,
}
# The banner says "MLflow collects usage data" whether or not it does.
_KEPT = {
    "mlflow.workflowType_v1": '"machine_learning"',
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.telemetry.info.alert.dismissed_v1": "true",
    "mlflow.settings.telemetry.enabled_v1": "false",
}
_SCRIPT = """<script>{
for (const [key, value] of Object.entries(KEPT))
  if (localStorage.getItem(key) === null) localStorage.setItem(key, value);
const kept = Storage.prototype.getItem;
Storage.prototype.getItem = function (key) {
  const table = /-ExperimentPage-.*-ReactComponentState$/.test(key) ? TABLE : null;
  return kept.call(this, key) ?? table;
};
if (/^(#\\/?)?$/.test(location.hash) && "EXPERIMENT")
  location.replace("#/experiments/EXPERIMENT/runs");
}</script>"""


def server_app() -> Any:
    """The web application that MLflow's server serves, on the runs of `ser`."""
    app = mlflow_compat.ui()
    app.add_middleware(OpenOnRuns)
    return app


class OpenOnRuns:
    """ASGI middleware: MLflow's page with the script of this module in front of its own.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on; what is HTML comes back with the script."""
        parts: list[bytes] = []
        start: list[Any] = []

        async def send_with_script(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = dict(message["headers"])
                if headers.get(b"content-type", b"").startswith(b"text/html"):
                    start.append(message)
                    return
            if not start or message["type"] != "http.response.body":
                await send(message)
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                script = (await asyncio.to_thread(_script)).encode()
                body = b"".join(parts).replace(b"<head>", b"<head>" + script, 1)
                kept = [h for h in start[0]["headers"] if h[0] != b"content-length"]
                length = (b"content-length", str(len(body)).encode())
                await send({**start[0], "headers": [*kept, length]})
                await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, send_with_script)


def _script() -> str:
    table = json.dumps(json.dumps(_TABLE))
    script = _SCRIPT.replace("KEPT", json.dumps(_KEPT)).replace("TABLE", table)
    return script.replace("EXPERIMENT", _newest_experiment())


def _newest_experiment() -> str:
    """Id of the experiment with the newest run; empty where there is none to be found."""
    client = client_of(tracking_uri())
    with suppress(*LOG_ERRORS):
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        for run in client.search_runs(experiments, max_results=1, order_by=NEWEST):
            return run.info.experiment_id
    return ""
