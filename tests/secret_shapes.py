"""Secrets in the shapes in which they come: what a user may type, and what of it nobody may read.

Every secret has its number in it, so that a test says which one leaked.
"""


def _secret(number):
    return f"Zq{number:02d}x7-Vw9"


_NAMES = (
    *("token", "api_key", "apiKey", "authToken", "hfToken", "hf_tokens", "password", "passwords"),
    *("dbpassword", "PGPASSWORD", "db_pass", "pwd", "passphrase", "client_secret", "secrets"),
    *("credentials", "private-key", "AWS_SECRET_ACCESS_KEY", "refresh_token", "cookie", "jwt"),
    *("Authorization", "auth", "AccountKey", "X-Api-Key", "hub.api.key", "pw", "passw", "dbpw"),
    *("license_key", "session-keys", "OPENAI_KEY", "consumer_key", "x-functions-key", "privkey"),
    *("session_id", "dbpass", "pass1", "conn_str", "webhook_url", "GH_PAT", "id_rsa"),
)
_TEXTS = (
    "postgresql://ann:{}@db.example/log",
    "postgresql+psycopg://ann:{}@db.example:5432/log?sslmode=require",
    "mysql+pymysql://ann:a:b{}@db.example/log",
    "redis://:{}@cache.example/0",
    "https://ann:{}@host.example/x",
    "https://{}@host.example/x.git",
    "git+https://{}@host.example/x.git",
    "ann:{}@localhost",
    "ann:{}@db.example",
    "at ann:{}@cache or elsewhere",
    "postgresql://ann:p/{}@db.example/log",
    "https://host.example/x?access_token={}&n=1",
    "https://host.example/x?n=1&sig={}&se=2026",
    "https://s3.example/x?X-Amz-Credential=a&X-Amz-Signature={}",
    "https://host.example/x?key={}",
    "host=db.example user=ann password={} dbname=log",
    "host=db.example password='a {}' dbname=log",
    "Server=db.example;Uid=ann;Pwd={};Database=log",
    "AccountName=ann;AccountKey={}==;EndpointSuffix=example",
    "Authorization: Bearer {}",
    "Authorization: Basic {}",
    "authorization=Token {}",
    "sent Bearer {} to host.example",
    "X-Api-Key: {}",
    "PGPASSWORD={} psql",
    "export HF_TOKEN={}",
    "login --token {} --user ann",
    "login --api-key={}",
    "['login', '--token', '{}']",
    '["login", "--api-key", "{}", "--user", "ann"]',
    '{{"token": "{}", "user": "ann"}}',
    '{{"host.example": {{"auth": "{}"}}}}',
    "{{'password': '{}', 'user': 'ann'}}",
    "Login(user='ann', password='{}')",
    r'"{{\"password\": \"{}\"}}"',
    "https://hooks.slack.com/services/T0/B0/{}",
    "https://{}:@host.example/x.git",
    "https://{}:x-oauth-basic@host.example/x.git",
)
_TOKENS = (  # known by their own shape
    *("ghp_{:0>36}", "github_pat_{:0>40}", "glpat-{:0>20}", "hf_{:0>34}", "sk-{:0>40}"),
    *("xoxb-{:0>24}", "AKIA{:0>16}", "AIza{:0>35}", "npm_{:0>36}", "dapi{:0>32}"),
    "eyJhbGciOiJIUzI1NiJ9.{:0>20}.{:0>20}",
)


def _shapes():
    """(name, text, secret): what stands under a key of that name, and what of it is secret."""
    found = []
    for name in _NAMES:
        found.append((name, _secret(len(found)), _secret(len(found))))
    for text in _TEXTS:
        secret = _secret(len(found))
        found.append((f"plain{len(found)}", text.format(secret), secret))
    for text in _TOKENS:
        number = f"FACADE{len(found)}DEC0DE"
        whole = text.format(number, number)
        found.append((f"plain{len(found)}", whole, number))
    return found


SHAPES = _shapes()


def overrides(shapes):
    """They as a user may type them: inside a mapping, and one by one."""
    for number, (name, text, _) in enumerate(shapes):
        quoted = "'" + text.replace("\\", "\\\\").replace("'", r"\'") + "'"
        if number % 3:
            yield f"+data.shape{number}.{name}={quoted}"
        else:
            yield f"+data.shape{number}={{user: ann, {name}: {quoted}}}"
