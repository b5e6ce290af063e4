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
// the environment goes over all of it (patroni/config.py, 2.1 to 4.1). Versions of modules are read
// from the names of their .dist-info and .egg-info, because importlib.metadata takes longer than
// all the rest, and Python before 3.8 has none. `module` is the Patroni that this daemon loads: a
// script of the package can load another one that pip has put in front of it.
//
// No single quote in it: each becomes 40 bytes under sudo, where all of the script is one argument.
const std::string& setup_program() {
    static const std::string k_program = R"py(
import json, os, re, sys
import yaml
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
    loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded if isinstance(loaded, dict) else {}
path = config_path()
config, changed = {}, 0
if path is None:
    config = load(environment["PATRONI_CONFIGURATION"])
else:
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
    return str(environment.get("PATRONI_" + name) or section(*keys) or "").lower()
print(json.dumps({
    "file": path, "changed": changed, "dcs": used, "modules": modules, "parameters": parameters,
    "python": ".".join(str(n) for n in sys.version_info[:3]),
    "module": module(), "users": bool(section("bootstrap", "users")),
    "verify_client": {n: n for n in ("none", "optional", "required")}.get(
        said("RESTAPI_VERIFY_CLIENT", "restapi", "verify_client"), ""),
    "ctl": bool(said("CTL_CERTFILE", "ctl", "certfile")),
    "by_members": said("RESTAPI_ALLOWLIST_INCLUDE_MEMBERS", "restapi", "allowlist_include_members")
    in ("true", "on", "yes", "1")}))
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
    setup.verify_client = text(body, "verify_client");
    setup.has_ctl_certificate = flag(body, "ctl");
    setup.allowlist_by_members = flag(body, "by_members");
    setup.parameters = Json::object();
    for (const auto& [name, value] : at(body, "parameters").items()) {
        if (is_scalar(value)) {
            setup.parameters[name] = value;
        }
    }
    return setup;
}

}  // namespace lockstep
