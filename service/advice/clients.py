"""Clients and connections that all calls share: which may be, and which may not."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator

from .finding import FINE, MAY_BREAK, WILL_BREAK, Finding, Level, Risk
from .project import CodeFunction, Module, Project, assignments

_POOL = "Take a pool (SQLAlchemy's create_engine, DBUtils' PooledDB), or connect within the call."
_EACH = "Make one within the call, or one for each thread (threading.local)."
_LIFESPAN = "Make it in `async def lifespan(context)`, and close it there after the last call."


def _connection(what: str) -> Risk:
    return Risk(
        "client",
        WILL_BREAK,
        f"{what} is one connection: statements and results of calls mix",
        _POOL,
    )


def _one_at_a_time(what: str) -> Risk:
    told = f"{what} is for one thread at a time: calls read each other's answers"
    return Risk("client", WILL_BREAK, told, _EACH)


def _of_a_loop(what: str) -> Risk:
    told = (
        f"{what} belongs to the event loop that runs where it is made, and at import there is none"
    )
    return Risk("client", WILL_BREAK, told, _LIFESPAN)


def _safe(what: str, level: Level = FINE) -> Risk:
    return Risk("client", level, f"{what} may be shared by calls", "Leave it as it is.")


_CLIENTS = {
    **{
        f"{module}.connect": _connection(f"{module}.connect()")
        for module in (
            *("pymysql", "MySQLdb", "mysql.connector", "psycopg2", "psycopg", "pymssql"),
            *("cx_Oracle", "oracledb", "pyodbc", "clickhouse_driver", "dmPython"),
        )
    },
    "pymysql.Connect": _connection("pymysql.Connect()"),
    "pymysql.connections.Connection": _connection("pymysql's Connection"),
    "sqlite3.connect": Risk(
        "client",
        WILL_BREAK,
        "sqlite3 refuses a connection in another thread than the one that made it",
        "Connect within the call.",
    ),
    "sqlalchemy.orm.Session": _connection("SQLAlchemy's Session"),
    "pika.BlockingConnection": _one_at_a_time("pika's BlockingConnection"),
    "kafka.KafkaConsumer": _one_at_a_time("KafkaConsumer"),
    "ftplib.FTP": _one_at_a_time("ftplib.FTP"),
    "smtplib.SMTP": _one_at_a_time("smtplib.SMTP"),
    "smtplib.SMTP_SSL": _one_at_a_time("smtplib.SMTP_SSL"),
    "imaplib.IMAP4_SSL": _one_at_a_time("imaplib.IMAP4_SSL"),
    "http.client.HTTPConnection": _one_at_a_time("HTTPConnection"),
    "http.client.HTTPSConnection": _one_at_a_time("HTTPSConnection"),
    "socket.socket": _one_at_a_time("a socket"),
    "socket.create_connection": _one_at_a_time("a socket"),
    "paramiko.SSHClient": _one_at_a_time("paramiko's SSHClient"),
    "mns.account.Account": _one_at_a_time("the account of MNS"),
    "boto3.resource": _one_at_a_time("boto3.resource()"),
    "requests.Session": Risk(
        "client",
        MAY_BREAK,
        "requests.Session is not promised to be thread-safe: calls share its cookies",
        "Set nothing on it within calls, or make one for each thread (threading.local).",
    ),
    "aiohttp.ClientSession": _of_a_loop("aiohttp.ClientSession"),
    "aiomysql.connect": _of_a_loop("aiomysql.connect()"),
    "aiomysql.create_pool": _of_a_loop("aiomysql.create_pool()"),
    "asyncpg.connect": _of_a_loop("asyncpg.connect()"),
    "asyncpg.create_pool": _of_a_loop("asyncpg.create_pool()"),
    # Its maintainers: threads may share one that nobody changes
    # (github.com/aliyun/aliyun-oss-python-sdk/issues/137).
    "oss2.Bucket": _safe("oss2.Bucket, if no call changes it,"),
    "oss2.Service": _safe("oss2.Service, if no call changes it,"),
    **{
        name: _safe(name)
        for name in (
            *(
                "alibabacloud_oss_v2.Client",
                "tablestore.OTSClient",
                "redis.Redis",
                "redis.StrictRedis",
            ),
            *(
                "redis.from_url",
                "redis.ConnectionPool",
                "redis.asyncio.Redis",
                "pymongo.MongoClient",
            ),
            *("redis.Redis.from_url", "redis.RedisCluster", "sqlalchemy.create_engine"),
            *("boto3.client", "httpx.Client", "httpx.AsyncClient", "urllib3.PoolManager"),
            *("elasticsearch.Elasticsearch", "kafka.KafkaProducer", "confluent_kafka.Producer"),
            *("grpc.insecure_channel", "grpc.secure_channel", "minio.Minio", "openai.OpenAI"),
            *("openai.AsyncOpenAI", "aliyun.log.LogClient", "aliyunsdkcore.client.AcsClient"),
            *("fc2.Client", "dbutils.pooled_db.PooledDB", "DBUtils.PooledDB.PooledDB"),
            *("alibabacloud_fc20230330.client.Client", "psycopg_pool.ConnectionPool"),
        )
    },
}
_SPELLINGS = {
    "requests.session": "requests.Session",
    "requests.sessions.Session": "requests.Session",
    "redis.client.Redis": "redis.Redis",
    "oss2.api.Bucket": "oss2.Bucket",
}
_KEYS = Risk(
    "keys",
    MAY_BREAK,
    "the keys of one call are kept: they are temporary, and run out before the instance ends",
    'Use context.client("oss"), which signs with the newest keys, or make it in the call.',
)


def client_findings(project: Project) -> Iterator[Finding]:
    """Yield what is to be said of the clients and connections that calls share."""
    for module in project.modules:
        for node in module.nodes:
            yield from _made(project, module, None, node)
    for function in project.functions:
        shared = function.globals
        for node in function.nodes:
            yield from _made(project, function.home, function, node, shared)


def client_of(call: ast.expr | None, project: Project, home: Module) -> str:
    """Return the name in _CLIENTS of what an expression makes, "" if that is not known."""
    if not isinstance(call, ast.Call):
        return ""
    for name in home.names.full_names(call.func):
        if _SPELLINGS.get(name, name) in _CLIENTS:
            return _SPELLINGS.get(name, name)
    for function in project.called(call, home):
        if found := _returned(function):
            return found
    return ""


def _returned(function: CodeFunction) -> str:
    """Return the client that a function makes and returns."""
    made = {}
    for node in function.nodes:
        for target, value in assignments(node):
            if isinstance(target, ast.Name) and (found := _constructor(value, function.home)):
                made[target.id] = found
    for node in function.nodes:
        if isinstance(node, ast.Return):
            if found := _constructor(node.value, function.home):
                return found
            if isinstance(node.value, ast.Name) and node.value.id in made:
                return made[node.value.id]
    return ""


def _constructor(value: ast.expr | None, home: Module) -> str:
    if isinstance(value, ast.Call):
        for name in home.names.full_names(value.func):
            if _SPELLINGS.get(name, name) in _CLIENTS:
                return _SPELLINGS.get(name, name)
    return ""


def _made(
    project: Project,
    module: Module,
    function: CodeFunction | None,
    node: ast.AST,
    shared: Container[str] = (),
) -> Iterator[Finding]:
    """Yield the finding of an assignment at module level, or to a name that is `shared`."""
    for target, value in assignments(node):
        own = function is not None and getattr(target, "id", "") not in shared
        name = "" if own else client_of(value, project, module)
        if not name or _in_one_loop(name, function):
            continue
        yield _CLIENTS[name].at(module.file.name, target)
        if function is not None and _takes_keys(function):
            yield _KEYS.at(module.file.name, target)


def _in_one_loop(name: str, function: CodeFunction | None) -> bool:
    """Return whether it is made where its event loop runs."""
    of_a_loop = _CLIENTS[name].advice == _LIFESPAN
    return of_a_loop and function is not None and isinstance(function.node, ast.AsyncFunctionDef)


def _takes_keys(function: CodeFunction) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == "credentials" for node in function.nodes
    )
