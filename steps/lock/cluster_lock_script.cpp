#include "steps/lock/cluster_lock_script.hpp"

#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "base/utf8.hpp"
#include "steps/observation/member_script.hpp"
#include "steps/spool/member_folder.hpp"
#include "steps/spool/spool.hpp"

#include <charconv>
#include <map>
#include <sstream>

namespace lockstep {

namespace {

// A file is written beside its place and moved there, so that nobody ever reads half of one. `new.`
// is in front: behind, it would make the file of another scope.
constexpr const char* k_prelude = R"sh(export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
umask 077
say() { printf '%s %s\n' "$tag" "$1"; }
fail() { say "why=$1"; exit 1; }
patience=4
taken() { fail "somebody else keeps $1${2:+ locked}"; }
verdict() { say "fence=$greatest"; say "now=$now"; say "state=$1"; exit 0; }
is_number() { case $1 in ''|*[!0-9]*|???????????????????*) return 1 ;; esac; }
now=$(date +%s)
greatest=0 l_id= l_since= l_expires= l_fence= since=$now
write_file() {
  name=$1; shift
  printf '%s\n' "$@" >"$folder/new.$name" && mv -f -- "$folder/new.$name" "$folder/$name" ||
    fail "$folder/$name cannot be written"
}
write_lock() {
  write_file "$lock" "id=$id" "run=$run" "who=$who" "host=$host" "engine=$engine" "since=$since" \
    "renewed=$now" "expires=$1" "fence=$fence" "left=$left"
}
)sh";

// Without root the folder looks empty, and nothing is known of the lock.
constexpr const char* k_files =
    R"sh(
ours_alone() {
  trust "$folder" "$folder"/* "$folder"/spool/* "$folder"/spool/*/* || fail "$untrusted"
}
make_folder() {
  ours_alone
  mkdir -p -- "$folder" && chmod 700 -- "$folder" || fail "the folder $folder cannot be made"
}
need_folder() {
  [ ! -e "$folder" ] || { [ -r "$folder" ] && [ -x "$folder" ]; } || fail "$folder cannot be read"
  [ -e "$folder/$lock" ] || verdict nothing
}
)sh"
    // The fence is the one file that must survive a loss of power: hence fsync. A fence that cannot
    // be read is not 0. A lock that does not say when it expires does so a while after it was
    // written.
    R"sh(
read_fence() {
  greatest=0
  [ -e "$folder/$fence_file" ] || return 0
  greatest=
  IFS= read -r greatest <"$folder/$fence_file"
  is_number "$greatest" || fail "$folder/$fence_file holds no number"
}
write_fence() {
  printf '%s\n' "$fence" | dd "of=$folder/new.$fence_file" conv=fsync 2>/dev/null &&
    mv -f -- "$folder/new.$fence_file" "$folder/$fence_file" ||
    fail "$folder/$fence_file cannot be written"
}
read_lock() {
  [ -e "$folder/$lock" ] || return 1
  while IFS= read -r line; do
    say "lock.$line"
    case $line in
      id=*) l_id=${line#*=} ;;
      since=*) l_since=${line#*=} ;;
      expires=*) l_expires=${line#*=} ;;
      fence=*) l_fence=${line#*=} ;;
    esac
  done <"$folder/$lock" || fail "$folder/$lock cannot be read"
  if ! is_number "$l_expires"; then
    l_expires=$(stat -c %Y -- "$folder/$lock") || fail "the age of $folder/$lock is unknown"
    l_expires=$((l_expires + ttl))
    say "lock.expires=$l_expires"
  fi
  is_number "$l_since" || l_since=$now
  is_number "$l_fence" || l_fence=0
}
commands_of_others() {
  found=1
  for entry in "$folder"/spool/*; do
    case ${entry##*/} in "$run".*) continue ;; esac
    owner=
    [ ! -r "$entry/scope" ] || read -r owner <"$entry/scope"
    case $owner in '' | "${lock#lock.}") ;; *) continue ;; esac
    if job_state "$entry" && [ "$state" = running ]; then
      started=$(stat -c %Y -- "$entry/started") || started=$now
      say "command=$((now - started)) ${entry##*/}"
      found=0
    fi
  done
  return "$found"
}
)sh";

constexpr const char* k_take = R"sh(
make_folder; guard; read_fence
if read_lock && [ "$l_id" != "$id" ] && [ "$l_expires" -gt "$now" ] &&
  { [ -z "$gone" ] || [ "$l_id" != "$gone" ]; }; then
  verdict held
fi
if commands_of_others; then verdict busy; fi
[ "$l_id" != "$id" ] || since=$l_since
fence=$greatest
write_lock $((now + ttl))
verdict ours
)sh";

constexpr const char* k_renew = R"sh(
make_folder; guard; read_fence
if [ "$greatest" -gt "$fence" ] && [ "$greatest" != "$odd_fence" ]; then read_lock; verdict lost; fi
if read_lock; then
  if [ "$l_id" = "$id" ]; then
    since=$l_since
  elif [ -n "$ours" ]; then
    verdict lost
  elif [ "$l_expires" -gt "$now" ]; then
    verdict held
  fi
fi
if [ -n "$look_for_commands" ] && commands_of_others; then verdict busy; fi
[ "$greatest" -eq "$fence" ] || write_fence
write_lock $((now + ttl))
verdict ours
)sh";

// A lock that stays has expired: its engine is not coming back to it.
constexpr const char* k_release = R"sh(
need_folder; make_folder; guard; read_fence
if ! read_lock || [ "$l_id" != "$id" ]; then verdict nothing; fi
if [ -n "$before" ]; then
  write_file "$lock" "$before"
elif [ -z "$left" ]; then
  rm -f -- "$folder/$lock" || fail "$folder/$lock cannot be removed"
else
  since=$l_since fence=$l_fence
  write_lock "$now"
fi
verdict released
)sh";

// The fence first: once the lock is gone, its engine must not come back.
constexpr const char* k_unlock = R"sh(
need_folder; make_folder; guard; read_fence
if ! read_lock || [ "$l_id" != "$id" ]; then verdict nothing; fi
fence=$((greatest + 1))
write_fence
rm -f -- "$folder/$lock" || fail "$folder/$lock cannot be removed"
verdict removed
)sh";

// What is there may hold no number at all. The lock is left alone: who has it is no matter here.
constexpr const char* k_reset = R"sh(
make_folder; guard
read -r greatest <"$folder/$fence_file" && is_number "$greatest" || greatest=0
write_fence
verdict removed
)sh";

constexpr const char* k_look = R"sh(
ours_alone
[ ! -e "$folder" ] || { [ -r "$folder" ] && [ -x "$folder" ]; } || fail "$folder cannot be read"
read_fence; read_lock
verdict nothing
)sh";

const char* act_text(LockScript::Act act) {
    switch (act) {
        case LockScript::Act::take:
            return k_take;
        case LockScript::Act::renew:
            return k_renew;
        case LockScript::Act::release:
            return k_release;
        case LockScript::Act::unlock:
            return k_unlock;
        case LockScript::Act::reset_fence:
            return k_reset;
        case LockScript::Act::look:
            break;
    }
    return k_look;
}

// A value is one line of the file.
std::string on_one_line(std::string text) {
    for (char& c : text) {
        const auto code = static_cast<unsigned char>(c);
        c = code < 0x20 || code == 0x7F ? '?' : c;
    }
    return text;
}

std::string file_text(const LockFile& lock) {
    std::string text;
    const auto line = [&text](const char* key, const std::string& value) {
        text += (text.empty() ? "" : "\n") + std::string(key) + "=" + on_one_line(value);
    };
    line("id", lock.id);
    line("run", lock.run);
    line("who", lock.who);
    line("host", lock.host);
    line("engine", lock.engine);
    line("since", std::to_string(lock.since));
    line("renewed", std::to_string(lock.renewed));
    line("expires", std::to_string(lock.expires));
    line("fence", std::to_string(lock.fence));
    line("left", lock.left);
    return text;
}

std::int64_t number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    return problem == std::errc{} && end == text.data() + text.size() ? value : 0;
}

void read_lock_line(std::string_view key, const std::string& value, LockFile& lock) {
    const std::map<std::string_view, std::string LockFile::*> texts = {
        {"id", &LockFile::id},
        {"run", &LockFile::run},
        {"who", &LockFile::who},
        {"host", &LockFile::host},
        {"engine", &LockFile::engine},
        {"left", &LockFile::left}};
    const std::map<std::string_view, std::int64_t LockFile::*> numbers = {
        {"since", &LockFile::since},
        {"renewed", &LockFile::renewed},
        {"expires", &LockFile::expires},
        {"fence", &LockFile::fence}};
    if (const auto text = texts.find(key); text != texts.end()) {
        lock.*(text->second) = value;
    } else if (const auto field = numbers.find(key); field != numbers.end()) {
        lock.*(field->second) = number(value);
    }
}

std::optional<LockAnswer::State> read_state(const std::string& text) {
    static const std::map<std::string, LockAnswer::State> k_states = {
        {"ours", LockAnswer::State::ours},
        {"held", LockAnswer::State::held},
        {"busy", LockAnswer::State::busy},
        {"lost", LockAnswer::State::lost},
        {"released", LockAnswer::State::released},
        {"removed", LockAnswer::State::removed},
        {"nothing", LockAnswer::State::nothing}};
    const auto found = k_states.find(text);
    return found == k_states.end() ? std::nullopt : std::optional(found->second);
}

/// The script ended without a verdict: by its own word, else by what the shell or sudo printed.
Error no_verdict(const std::string& why, const CommandResult& result) {
    std::string said = as_utf8(result.err.substr(0, result.err.find('\n')), k_unreadable);
    if (!why.empty()) {
        said = said.empty() ? why : why + ": " + said;
    }
    if (said.empty()) {
        said = "the script of the lock ended with exit status " +
               std::to_string(result.exit_status) + " and without a result";
    }
    return Error(
        said,
        said.find(k_untrusted) != std::string::npos
            ? k_untrusted_hint
            : "The lock is kept in /var/lib/lockstep on the members: see that its file system "
              "can be written, and that the login is root or has become: sudo.");
}

}  // namespace

std::string lock_file_name(std::string_view scope) {
    return "lock." + member_file_name(scope);
}

std::string make_lock_id() {
    return make_nonce().substr(0, 16);
}

std::string render(const LockScript& script) {
    const std::string name = member_file_name(script.scope);
    std::string text;
    const auto assign = [&text](const char* variable, const std::string& value) {
        text += std::string(variable) + "=" + shell_quote(on_one_line(value)) + "\n";
    };
    assign("tag", "@" + script.nonce);
    assign("lock", "lock." + name);
    assign("fence_file", "fence." + name);
    assign("id", script.mine.id);
    assign("run", script.mine.run);
    assign("who", script.mine.who);
    assign("host", script.mine.host);
    assign("engine", script.mine.engine);
    assign("left", script.mine.left);
    assign("fence", std::to_string(script.mine.fence));
    assign("odd_fence", script.odd_fence ? std::to_string(*script.odd_fence) : "");
    assign("gone", script.gone);
    assign("ours", script.ours ? "yes" : "");
    assign("look_for_commands", script.look_for_commands ? "yes" : "");
    assign("ttl", std::to_string(script.ttl.count()));
    text += "before=" + shell_quote(script.before ? file_text(*script.before) : "") + "\n";
    text += script.folder.empty() ? k_member_folder : "folder=" + shell_quote(script.folder) + "\n";
    return text + k_prelude + k_trust + k_guard + k_alive + k_job_state + k_files +
           act_text(script.act);
}

LockAnswer read_answer(const LockScript& script, const CommandResult& result) {
    const std::string tag = "@" + script.nonce + " ";
    LockAnswer answer;
    std::optional<LockAnswer::State> state;
    std::string why;
    // What others wrote may be in any encoding; it ends in records, which are UTF-8.
    std::istringstream stream(as_utf8(result.out, k_unreadable));
    for (std::string line; std::getline(stream, line);) {
        const std::size_t equals = line.find('=');
        if (!line.starts_with(tag) || equals == std::string::npos) {
            continue;
        }
        const std::string key = line.substr(tag.size(), equals - tag.size());
        const std::string value = line.substr(equals + 1);
        if (key.starts_with("lock.")) {
            answer.lock = answer.lock ? answer.lock : LockFile{};
            read_lock_line(std::string_view(key).substr(5), value, *answer.lock);
        } else if (key == "command") {
            const std::size_t space = value.find(' ');
            answer.commands.push_back(
                {value.substr(space + 1), std::chrono::seconds{number(value.substr(0, space))}});
        } else if (key == "fence") {
            answer.fence = number(value);
        } else if (key == "now") {
            answer.now = number(value);
        } else if (key == "why") {
            why = value;
        } else if (key == "state") {
            state = read_state(value);
        }
    }
    if (!result.ok() || !state) {
        throw no_verdict(why, result);
    }
    answer.state = *state;
    return answer;
}

}  // namespace lockstep
