#include "steps/observation/setup_program.hpp"

#include "steps/observation/json_fields.hpp"

namespace lockstep {

namespace {

using Json = nlohmann::json;
using namespace json_fields;

bool is_scalar(const Json& value) {
    return value.is_string() || value.is_number() || value.is_boolean();
}

}  // namespace

// The configuration file is the daemon's argument; where there is none, it is the text in
// PATRONI_CONFIGURATION. A folder is its *.yml in order, each over the ones before; PATRONI_… in
// the environment goes over all of it (patroni/config.py, 2.1 to 4.1).
//
// The daemon is asked where its process listens, by the kernel's word: what the configuration says
// may be edited since it was started, and by no name or address can anybody else come in between.
// So the certificate there needs no proof; where Patroni wants one of whoever asks
// (restapi.verify_client), it is the one by which members ask each other: of `ctl`, and
// before 3.1.0 of `restapi`. Linux takes a connection to 0.0.0.0 or :: to the host itself.
//
// No single quote in it: each becomes 40 bytes under sudo, where all of the script is one argument.
const std::string& daemon_program() {  // NOLINT(readability-function-size): it is a program
    static const std::string k_program = R"py(
import json, os, re, socket, struct, sys, time
pid = sys.argv[1]
def words(name):
    try:
        with open("/proc/%s/%s" % (pid, name), "rb") as f:
            return [w.decode("utf-8", "replace") for w in f.read().split(b"\0") if w]
    except (IOError, OSError):
        return []
environment = dict(w.split("=", 1) for w in words("environ") if "=" in w)
def config_path():
    for word in reversed(words("cmdline")[2:]):
        if not word.startswith("-"):
            try:
                path = os.path.join(os.readlink("/proc/%s/cwd" % pid), word)
            except OSError:
                path = word
            if os.path.exists(path):
                return path
    if "PATRONI_CONFIGURATION" in environment:
        return None
    for path in ("/etc/patroni/config.yml", "/etc/patroni/patroni.yml"):
        if os.path.exists(path):
            return path
    sys.exit("no configuration file of Patroni was found")
def merge(into, over):
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
def load(text):
    import yaml
    loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded if isinstance(loaded, dict) else {}
config, path, changed = {}, None, 0
def read():
    global path, changed
    path = config_path()
    if path is None:
        return merge(config, load(environment["PATRONI_CONFIGURATION"]))
    files = [path]
    if os.path.isdir(path):
        files = [os.path.join(path, n) for n in sorted(os.listdir(path)) if n.endswith((".yml", ".yaml"))]
    for name in files:
        with open(name, "rb") as f:
            merge(config, load(f.read()))
        changed = max(changed, int(os.stat(name).st_mtime))
def section(*keys):
    value = config
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
def setting(name, *keys):
    return environment.get("PATRONI_" + name) or section(*keys)
def whose(name):
    value = setting(name.upper(), name)
    return str(value) if isinstance(value, (type(u""), str, int)) and not isinstance(value, bool) else ""
def listening():
    own = set()
    for fd in os.listdir("/proc/%s/fd" % pid):
        try:
            own.add(os.readlink("/proc/%s/fd/%s" % (pid, fd)))
        except OSError:
            pass
    found = []
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        try:
            with open("/proc/%s/net/%s" % (pid, name)) as f:
                lines = [line.split() for line in f.readlines()[1:]]
        except (IOError, OSError):
            continue
        for line in lines:
            if line[3] == "0A" and "socket:[%s]" % line[9] in own:
                address, port = line[1].split(":")
                number = [int(address[n:n + 8], 16) for n in range(0, len(address), 8)]
                packed = struct.pack("=%dI" % len(number), *number)
                found.append((socket.inet_ntop(family, packed), int(port, 16)))
    return found
def get(tls, host, port, path, seconds):
    try:
        from http.client import HTTPConnection, HTTPSConnection
    except ImportError:
        from httplib import HTTPConnection, HTTPSConnection
    if tls:
        import ssl
        context = ssl._create_unverified_context()
        for part in ("ctl", "restapi"):
            own = [setting("%s_%s" % (part.upper(), n.upper()), part, n) for n in ("certfile", "keyfile", "keyfile_password")]
            if own[0]:
                context.load_cert_chain(own[0], own[1] or None, str(own[2] or ""))
                break
        link = HTTPSConnection(host, port, timeout=seconds, context=context)
    else:
        link = HTTPConnection(host, port, timeout=seconds)
    link.request("GET", path)
    answer = link.getresponse()
    body = json.loads(answer.read(1 << 20).decode("utf-8"))
    if not isinstance(body, dict) or not ("patroni" in body or "members" in body):
        raise ValueError("what answers there is no Patroni")
    return answer.status, body
def ask(path, seconds):
    tls, trouble = bool(setting("RESTAPI_CERTFILE", "restapi", "certfile")), "it listens nowhere"
    likely = str(setting("RESTAPI_LISTEN", "restapi", "listen")).split(":")[-1]
    for host, port in sorted(listening(), key=lambda at: str(at[1]) != likely):
        for way in (tls, not tls):
            try:
                return get(way, host, port, path, seconds)
            except socket.timeout as error:
                trouble = error
                break
            except Exception as error:
                trouble = error if way == tls else trouble
    raise ValueError(str(trouble))
)py";
    return k_program;
}

// Versions of modules are read from the names of their .dist-info and .egg-info, because
// importlib.metadata takes longer than all the rest, and Python before 3.8 has none. `module` is
// the Patroni that this daemon loads: a script of the package can load another one that pip has put
// in front of it. Of a PostgreSQL that does not run (no process as second argument) the last lines
// of its log that say why, in which no statement is. What the daemon says of the cluster comes
// last, for it may hang with its DCS.
const std::string& setup_program() {
    static const std::string k_program = daemon_program() + R"py(read()
dcs = ["etcd3", "etcd", "consul", "zookeeper", "exhibitor", "kubernetes", "raft"]
used = [n for n in dcs if section(n) or any(
    v.startswith("PATRONI_%s_" % n.upper()) for v in environment)]
asked = ("ydiff", "cdiff", "prettytable", "psycopg2", "psycopg2-binary", "psycopg",
         "python-etcd", "python-consul", "py-consul", "urllib3", "pysyncobj")
modules = {}
info = re.compile("^(.+?)-([0-9][^-]*)(-.*)?[.](dist|egg)-info$")
for folder in sys.path:
    try:
        found = [m for m in map(info.match, os.listdir(folder or ".")) if m]
    except OSError:
        continue
    for match in found:
        name = re.sub("[-_.]+", "-", match.group(1)).lower()
        if name in asked:
            modules.setdefault("PySyncObj" if name == "pysyncobj" else name, match.group(2))
private = re.compile("command|conninfo|pass|secret|key|salt|token|[.]", re.I)
plain = re.compile("^(-?[0-9][0-9.]* ?[A-Za-z]{0,3}|[A-Za-z][A-Za-z_]{0,15})$")
parameters = {}
given = section("postgresql", "parameters")
for name, value in (given if isinstance(given, dict) else {}).items():
    if private.search(str(name)):
        continue
    if isinstance(value, bool) or plain.match(str(value)):
        parameters[str(name).lower()] = value
def module():
    try:
        from importlib.machinery import PathFinder
        script = [w for w in words("cmdline")[1:] if not w.startswith("-")][0]
        here = os.path.join(os.readlink("/proc/%s/cwd" % pid), script)
        paths = [os.path.dirname(os.path.realpath(here))]
        paths += environment.get("PYTHONPATH", "").split(":") + sys.path
        return PathFinder.find_spec("patroni", [p for p in paths if p]).origin or ""
    except Exception:
        return ""
def said(name, *keys):
    return str(setting(name, *keys) or "").lower()
def last_words():
    data = setting("POSTGRESQL_DATA_DIR", "postgresql", "data_dir")
    if not data or sys.argv[2:] != [""]:
        return []
    try:
        with open(os.path.join(data, "postgresql.conf")) as f:
            where = re.findall("(?m)^ *log_directory *=? *\x27(.*?)\x27", f.read())
        folder = os.path.join(data, where[-1] if where else "log")
        files = [n for n in (os.path.join(folder, n) for n in os.listdir(folder)) if os.path.isfile(n)]
        newest = max(files, key=os.path.getmtime)
        if time.time() - os.path.getmtime(newest) > 3600:
            return []
        with open(newest, "rb") as f:
            f.seek(-min(16384, os.path.getsize(newest)), 2)
            lines = f.read().decode("utf-8", "replace").splitlines()
        return [n[:300] for n in lines if re.search("FATAL|PANIC", n)][-3:]
    except Exception:
        return []
print(json.dumps({
    "file": path, "changed": changed, "dcs": used, "modules": modules, "parameters": parameters,
    "python": ".".join(str(n) for n in sys.version_info[:3]),
    "module": module(), "users": bool(section("bootstrap", "users")),
    "dcs_user": any(setting(n.upper() + "_USERNAME", n, "username") for n in ("etcd3", "etcd")),
    "verify_client": {n: n for n in ("none", "optional", "required")}.get(
        said("RESTAPI_VERIFY_CLIENT", "restapi", "verify_client"), ""),
    "ctl": bool(said("CTL_CERTFILE", "ctl", "certfile")),
    "by_members": said("RESTAPI_ALLOWLIST_INCLUDE_MEMBERS", "restapi", "allowlist_include_members")
    in ("true", "on", "yes", "1"), "said": last_words(), "name": whose("name"), "scope": whose("scope")}))
sys.stdout.flush()
try:
    said = ask("/cluster", 2)[1]
    print(json.dumps({"scope": whose("scope"), "pause": said.get("pause"), "members": [
        {n: m.get(n) for n in ("name", "role", "host", "port", "api_url")} for m in said["members"]]}))
except Exception:
    pass
)py";
    return k_program;
}

SetupFacts setup_of(const Json& body) {
    SetupFacts setup;
    setup.file = text(body, "file");
    setup.changed_at = integer(body, "changed").value_or(0);
    for (const Json& name : at(body, "dcs")) {
        if (name.is_string()) {
            setup.dcs.push_back(name.get<std::string>());
        }
    }
    setup.python = text(body, "python");
    setup.program = text(body, "module");
    for (const auto& [name, version] : at(body, "modules").items()) {
        if (version.is_string()) {
            setup.modules[name] = version.get<std::string>();
        }
    }
    setup.has_bootstrap_users = flag(body, "users");
    setup.has_dcs_user = flag(body, "dcs_user");
    setup.verify_client = text(body, "verify_client");
    setup.has_ctl_certificate = flag(body, "ctl");
    setup.allowlist_by_members = flag(body, "by_members");
    setup.name = text(body, "name");
    setup.scope = text(body, "scope");
    setup.parameters = Json::object();
    for (const auto& [name, value] : at(body, "parameters").items()) {
        if (is_scalar(value)) {
            setup.parameters[name] = value;
        }
    }
    return setup;
}

}  // namespace lockstep
