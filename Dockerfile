# One image for every service; the command says which (compose.yaml).
FROM python:3.13-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY requirements.txt .
RUN /venv/bin/pip install --require-hashes --requirement requirements.txt

FROM python:3.13-slim-bookworm
ARG WEELO_COMMIT=unknown
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    WEELO_ENV=production \
    WEELO_COMMIT=$WEELO_COMMIT \
    LISTEN=0.0.0.0
RUN useradd --system --uid 10001 --no-create-home weelo
COPY --from=build /venv /venv
WORKDIR /app
COPY . .
# The static files need no secret; the key only satisfies the settings and stays in this layer's
# environment alone.
RUN mkdir static-root && WEELO_ENV=test SECRET_KEY=of-the-build python manage.py collectstatic --no-input --verbosity 0
USER weelo
EXPOSE 8000 8001
CMD ["gunicorn"]
