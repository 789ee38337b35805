"""The pages for people: HTML made from the table of tasks and the analysis folders, brought to life by htmx."""

from malkoha.web.pages import (
    analysis,
    calls,
    comparing,
    files,
    live,
    login,
    overall,
    queue,
    rendering,
    search,
    submitting,
)

ROUTERS = (
    rendering.router,
    login.router,
    queue.router,
    submitting.router,
    analysis.router,
    calls.router,
    files.router,
    live.router,
    search.router,
    comparing.router,
    overall.router,
)
