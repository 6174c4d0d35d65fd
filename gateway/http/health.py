"""`GET /v1/health`: whether the door is open, for what stands before it."""

from gateway.http.routes import Inside, Reply, Request, route


@route("/v1/health", "GET", "HEAD")
async def health(request: Request, inside: Inside) -> Reply:
    """Says that this gateway takes requests; it asks nobody else."""
    return Reply(200, "ok\n")
