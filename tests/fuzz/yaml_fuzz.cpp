#include "base/yaml.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

// The input as YAML. Whatever it is: a tree whose places are in the file, or an InputError with
// one; the same of its lines when they end in CRLF.
namespace {

using namespace lockstep;

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

/// Places are at most one line and one column behind the text.
void check_place(const SourceLocation& where, const std::string& text) {
    const auto lines = std::count(text.begin(), text.end(), '\n') + 1;
    require(where.file == "f" && where.line >= 0 && where.line <= lines + 1);
    require(where.line == 0 || where.column > 0);
    require(static_cast<std::size_t>(where.column) <= text.size() + 1);
}

std::string shown(const yaml::Node& node, const std::string& text) {
    check_place(node.where, text);
    std::string tree = std::to_string(static_cast<int>(node.kind)) + (node.plain ? "" : "'") +
                       node.text + "@" + node.where.text() + "[";
    for (const yaml::Node& item : node.items) {
        tree += shown(item, text) + ",";
    }
    for (const auto& [key, value] : node.entries) {
        require(key.is(yaml::Node::Kind::scalar) && node.find(key.text) == &value);
        tree += shown(key, text) + ":" + shown(value, text) + ",";
    }
    return tree + "]";
}

std::string verdict_on(const std::string& text) {
    try {
        return shown(yaml::parse(text, "f"), text);
    } catch (const InputError& error) {
        check_place(error.where(), text);
        return error.what();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    const std::string verdict = verdict_on(text);
    if (text.find('\r') == std::string::npos) {
        std::string crlf;
        for (const char c : text) {
            crlf += c == '\n' ? "\r\n" : std::string(1, c);
        }
        require(verdict_on(crlf) == verdict);
    }
    return 0;
}
