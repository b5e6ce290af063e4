#include "base/known_secrets.hpp"

#include "base/digest.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace lockstep {

namespace {

constexpr std::string_view k_base64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/// Each character, or what `instead` gives for it.
template <typename Instead>
std::string rewritten(std::string_view text, const Instead& instead) {
    std::string result;
    for (const char c : text) {
        result += instead(c);
    }
    return result;
}

std::string replaced(std::string_view text, char what, std::string_view by) {
    return rewritten(text, [&](char c) { return c == what ? std::string(by) : std::string(1, c); });
}

std::string backslashed(std::string_view text, std::string_view which) {
    return rewritten(text, [&](char c) {
        return (which.find(c) == std::string_view::npos ? "" : "\\") + std::string(1, c);
    });
}

/// The digits of base64 that depend on nothing but `bytes`, where `before` other bytes (0 to 2)
/// stand in front of them in their group of three.
std::string base64_inside(std::string_view bytes, std::size_t before) {
    const std::string all = std::string(before, '\0') + std::string(bytes) + std::string(2, '\0');
    std::string digits;
    for (std::size_t bit = (8 * before + 5) / 6 * 6; bit + 6 <= 8 * (before + bytes.size());
         bit += 6) {
        const auto high = static_cast<unsigned char>(all[bit / 8]);
        const auto low = static_cast<unsigned char>(all[bit / 8 + 1]);
        const unsigned pair = (unsigned{high} << 8U) | low;
        digits += k_base64[(pair >> (10 - bit % 8)) & 0x3fU];
    }
    return digits;
}

std::string json_inside(const std::string& text, bool ascii) {
    const std::string dumped =
        nlohmann::json(text).dump(-1, ' ', ascii, nlohmann::json::error_handler_t::replace);
    return dumped.substr(1, dumped.size() - 2);
}

std::string in_url(std::string_view text, const char* digits, const char* blank) {
    return rewritten(text, [&](char c) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == ' ') {
            return std::string(blank);
        }
        return is_alnum(c) || std::strchr("-._~", c) != nullptr
                   ? std::string(1, c)
                   : std::string{'%', digits[byte >> 4U], digits[byte & 0xfU]};
    });
}

std::string in_html(std::string_view text, const char* apostrophe) {
    return rewritten(text, [&](char c) {
        return c == '&'    ? std::string("&amp;")
               : c == '<'  ? std::string("&lt;")
               : c == '>'  ? std::string("&gt;")
               : c == '"'  ? std::string("&quot;")
               : c == '\'' ? std::string(apostrophe)
                           : std::string(1, c);
    });
}

/// Every way in which a text is written by what we know to print one.
std::vector<std::string> forms_of(const std::string& text) {
    std::vector<std::string> forms{
        text,
        json_inside(text, false),
        json_inside(text, true),
        replaced(json_inside(text, true), '/', "\\/"),
        in_url(text, "0123456789ABCDEF", "%20"),
        in_url(text, "0123456789abcdef", "%20"),
        in_url(text, "0123456789ABCDEF", "+"),
        replaced(text, '\'', "'\\''"),    // 'it'\''s'
        replaced(text, '\'', "'\"'\"'"),  // dash, set -x
        replaced(text, '\'', "''"),       // SQL
        backslashed(text, "\\'"),         // $'…', Python
        backslashed(text, "\\\"$`"),      // "…"
        rewritten(text,
                  [](char c) {  // printf %q
                      const bool plain = is_alnum(c) || std::strchr("_-./:=@%+,", c) != nullptr;
                      return (plain ? "" : "\\") + std::string(1, c);
                  }),
        in_html(text, "&#39;"),
        in_html(text, "&#x27;"),
        to_hex(text),
        rewritten(to_hex(text), [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; }),
    };
    for (const std::size_t before : {0U, 1U, 2U}) {
        const std::string digits = base64_inside(text, before);
        forms.push_back(digits);
        forms.push_back(rewritten(digits, [](char c) {
            return c == '+' ? '-' : c == '/' ? '_' : c;
        }));
    }
    for (const std::size_t line : {57U, 48U}) {  // bytes on one of base64's lines of 76 or 64
        for (std::size_t at = 0; text.size() > line && at < text.size(); at += line) {
            forms.push_back(base64_inside(std::string_view(text).substr(at, line), 0));
        }
    }
    return forms;
}

/// The value, each of its lines, and of `Bearer X` (RFC 9110, 11.4) what is secret of it.
std::vector<std::string> pieces_of(std::string_view value) {
    value = value.substr(0, value.find_last_not_of("\r\n") + 1);
    std::vector<std::string> pieces{std::string(value)};
    for (const std::string_view scheme : {"Bearer ", "Basic ", "Token "}) {
        if (value.starts_with(scheme)) {
            pieces.emplace_back(value.substr(scheme.size()));
        }
    }
    for (std::size_t begin = 0;
         value.find('\n') != std::string_view::npos && begin < value.size();) {
        const std::size_t end = std::min(value.find('\n', begin), value.size());
        std::string_view line = value.substr(begin, end - begin);
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        pieces.emplace_back(line);
        begin = end + 1;
    }
    return pieces;
}

std::uint32_t head_of(const char* text) {
    std::uint32_t head = 0;
    std::memcpy(&head, text, k_shortest_secret);
    return head;
}

static_assert(sizeof(std::uint32_t) == k_shortest_secret);

/// What is looked for, by its first bytes; the longest of those first.
struct Forms {
    std::set<std::string> all;
    std::unordered_map<std::uint32_t, std::vector<std::string>> by_head;

    void add(const std::string& form) {
        if (form.size() < k_shortest_secret || !all.insert(form).second) {
            return;
        }
        std::vector<std::string>& same = by_head[head_of(form.data())];
        same.push_back(form);
        std::ranges::sort(same, std::ranges::greater{}, &std::string::size);
    }

    /// The length of the longest that begins at `at`; 0: none.
    [[nodiscard]] std::size_t length_at(std::string_view text, std::size_t at) const {
        const auto found = by_head.find(head_of(text.data() + at));
        if (found != by_head.end()) {
            for (const std::string& form : found->second) {
                if (text.substr(at).starts_with(form)) {
                    return form.size();
                }
            }
        }
        return 0;
    }
};

struct Known {
    std::mutex mutex;
    std::set<std::string, std::less<>> values;
    std::set<std::string, std::less<>> variables;
    std::shared_ptr<const Forms> forms = std::make_shared<const Forms>();  // readers keep theirs
};

Known& known() {
    static Known all;
    return all;
}

std::shared_ptr<const Forms> forms_now() {
    Known& all = known();
    const std::lock_guard lock(all.mutex);
    return all.forms;
}

bool is_base64(char c) {
    return is_alnum(c) || c == '+' || c == '/' || c == '-' || c == '_';
}

/// The last digit of base64 depends on what is behind the secret, too: it goes where it is padded.
std::size_t with_padding(std::string_view text, std::size_t end) {
    std::size_t last = end + 1;
    while (end < text.size() && is_base64(text[end]) && last < text.size() && last < end + 3 &&
           text[last] == '=') {
        ++last;
    }
    return last > end + 1 ? last : end;
}

/// Those that overlap are one: of two secrets that share some bytes none may stay in part.
bool hide(std::string& text, const Forms& forms) {
    if (forms.all.empty()) {
        return false;
    }
    std::vector<std::pair<std::size_t, std::size_t>> places;
    for (std::size_t at = 0; at + k_shortest_secret <= text.size(); ++at) {
        const std::size_t length = forms.length_at(text, at);
        if (length > 0 && !places.empty() && at <= places.back().second) {
            places.back().second = std::max(places.back().second, at + length);
        } else if (length > 0) {
            places.emplace_back(at, at + length);
        }
    }
    std::string shown;
    std::size_t done = 0;
    for (const auto& [begin, end] : places) {
        if (begin >= done) {
            shown.append(text, done, begin - done).append(k_hidden);
        }
        done = std::max(done, with_padding(text, end));
    }
    if (!places.empty()) {
        text = shown.append(text, done);
    }
    return !places.empty();
}

}  // namespace

void remember_secret(std::string_view value) {
    Known& all = known();
    const std::lock_guard lock(all.mutex);
    if (!all.values.emplace(value).second) {
        return;
    }
    auto forms = std::make_shared<Forms>(*all.forms);
    for (const std::string& piece : pieces_of(value)) {
        if (piece.size() >= k_shortest_secret) {
            std::ranges::for_each(forms_of(piece),
                                  [&](const std::string& form) { forms->add(form); });
        }
    }
    all.forms = std::move(forms);
}

void remember_secret_variable(const std::string& name) {
    {
        Known& all = known();
        const std::lock_guard lock(all.mutex);
        all.variables.insert(name);
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here changes the environment
    if (const char* value = std::getenv(name.c_str())) {
        remember_secret(value);
    }
}

bool is_secret_variable(std::string_view name) {
    Known& all = known();
    const std::lock_guard lock(all.mutex);
    return all.variables.contains(name);
}

void forget_secrets() {
    Known& all = known();
    const std::lock_guard lock(all.mutex);
    all.values.clear();
    all.variables.clear();
    all.forms = std::make_shared<const Forms>();
}

bool hide_secrets(std::string& text) {
    return hide(text, *forms_now());
}

bool hide_cut_secrets(std::string& text) {
    const std::shared_ptr<const Forms> forms = forms_now();
    bool any = hide(text, *forms);
    std::size_t longest = 0;
    for (const std::string& form : forms->all) {
        // Of fewer it would be by chance, and what is cut would be taken for a secret each time.
        const std::size_t telling = std::min(k_shortest_secret, (form.size() + 1) / 2);
        for (std::size_t size = std::min(form.size() - 1, text.size());
             size >= telling && size > longest;
             --size) {
            if (text.ends_with(std::string_view(form).substr(0, size))) {
                longest = size;
            }
        }
    }
    if (longest > 0) {
        text.replace(text.size() - longest, longest, k_hidden);
        any = true;
    }
    return any;
}

namespace {

enum class Parts { texts, all };

// What is nested deeper is hidden as a whole: each level takes a frame of the stack.
constexpr int k_deepest = 512;

bool hide_in_keys(nlohmann::json& object, const Forms& forms) {
    std::vector<std::string> names;
    for (const auto& [key, item] : object.items()) {
        if (std::string shown = key; hide(shown, forms)) {
            names.push_back(key);
        }
    }
    for (const std::string& name : names) {
        std::string shown = name;
        hide(shown, forms);
        nlohmann::json item = std::move(object.at(name));
        object.erase(name);
        object[shown] = std::move(item);
    }
    return !names.empty();
}

bool hide_in(nlohmann::json& json, Parts parts, const Forms& forms, int depth) {
    if (depth > k_deepest) {
        json = k_hidden;
        return true;
    }
    if (json.is_string()) {
        return hide(json.get_ref<std::string&>(), forms);
    }
    if (json.is_number() && parts == Parts::all) {
        std::string text = json.dump();
        if (hide(text, forms)) {
            json = std::move(text);
            return true;
        }
        return false;
    }
    bool any = json.is_object() && parts == Parts::all && hide_in_keys(json, forms);
    if (json.is_structured()) {
        for (nlohmann::json& item : json) {
            any = hide_in(item, parts, forms, depth + 1) || any;
        }
    }
    return any;
}

bool hide_in(nlohmann::json& json, Parts parts) {
    const std::shared_ptr<const Forms> forms = forms_now();
    return !forms->all.empty() && hide_in(json, parts, *forms, 0);
}

}  // namespace

bool hide_secrets_in_texts(nlohmann::json& json) {
    return hide_in(json, Parts::texts);
}

bool hide_secrets(nlohmann::json& json) {
    return hide_in(json, Parts::all);
}

std::string without_secrets(std::string text) {
    hide_secrets(text);
    return text;
}

}  // namespace lockstep
