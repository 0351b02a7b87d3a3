# The service and the function in index.py as an image: for Function Compute's custom containers, or anywhere.
# docs/deployment.md tells how to build, run and deploy it.

FROM python:3.14-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock requirements-uv.lock ./
COPY service/bundling bundling
# The tools of this stage; the result has none of them.
RUN python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore --no-compile \
    --no-deps --require-hashes --only-binary :all: --requirement requirements-uv.lock
# Into a folder of its own, so that the result holds these packages and nothing that installed them.
RUN python -m bundling.packages /packages requirements.lock
# The service is one of the packages, so that a `service` of your function's own is not in its way.
COPY service /packages/fc_event_service
COPY installed/service /packages/service
# What no instance needs.
RUN python -m bundling.pruning /packages
# Your function: what .dockerignore lets through of this folder, without the service, or all of another folder.
ARG FUNCTION=.
COPY ${FUNCTION} /code
RUN cd /code && if [ -L installed/fc_event_service ]; then rm -r service installed bundling requirements-uv.lock; fi
# The root may be read-only and the user may write nowhere: byte code is made here, and not checked by time.
# The user is not root: files that only their owner may read here are readable there.
RUN python -m compileall -q --invalidation-mode unchecked-hash /packages /code && chmod -R a+rX /packages /code

FROM python:3.14-slim-bookworm
COPY --from=build /packages /packages
COPY --from=build /code /code
# PYTHONFAULTHANDLER: a crash in C code leaves a traceback in the log.
ENV PYTHONPATH=/packages \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1
WORKDIR /code
# nobody: no name, home or right of this user is needed.
USER 65534:65534
EXPOSE 9000
CMD ["python", "-P", "-m", "fc_event_service"]
