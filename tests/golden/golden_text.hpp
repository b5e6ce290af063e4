#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

/// Texts that people read, compared with the files beside this one. LOCKSTEP_UPDATE_GOLDEN=1 in the
/// environment writes them anew: look at `git diff` then.
namespace lockstep::golden {

inline std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) {
        lines.push_back(line);
    }
    return lines;
}

/// The lines that differ, `-` expected and `+` found, with what is common in between.
inline std::string difference(const std::string& expected, const std::string& found) {
    const std::vector<std::string> a = lines_of(expected);
    const std::vector<std::string> b = lines_of(found);
    // Length of the longest common subsequence of a[i..] and b[j..].
    std::vector<std::vector<std::size_t>> common(a.size() + 1,
                                                 std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = a.size(); i-- > 0;) {
        for (std::size_t j = b.size(); j-- > 0;) {
            common[i][j] = a[i] == b[j] ? common[i + 1][j + 1] + 1
                                        : std::max(common[i + 1][j], common[i][j + 1]);
        }
    }
    std::string text;
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < a.size() || j < b.size()) {
        if (i < a.size() && j < b.size() && a[i] == b[j]) {
            text += "  " + a[i] + "\n";
            ++i;
            ++j;
        } else if (j == b.size() || (i < a.size() && common[i + 1][j] >= common[i][j + 1])) {
            text += "- " + a[i++] + "\n";
        } else {
            text += "+ " + b[j++] + "\n";
        }
    }
    return text;
}

/// `path` counts from the root of the source.
inline void expect_file(const std::string& name, const std::string& found) {
    const std::string path = std::string(LOCKSTEP_SOURCE_DIR) + "/" + name;
    const char* update = std::getenv("LOCKSTEP_UPDATE_GOLDEN");  // NOLINT(concurrency-mt-unsafe)
    if (update != nullptr && std::string(update) == "1") {
        std::ofstream(path, std::ios::binary) << found;
        return;
    }
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream expected;
    expected << stream.rdbuf();
    if (!stream) {
        ADD_FAILURE() << "there is no " << path << "; LOCKSTEP_UPDATE_GOLDEN=1 writes it";
        return;
    }
    if (expected.str() != found) {
        ADD_FAILURE() << name << " says something else (-) than this (+):\n"
                      << difference(expected.str(), found)
                      << "If this is better, run again with LOCKSTEP_UPDATE_GOLDEN=1.";
    }
}

inline void expect_text(const std::string& name, const std::string& found) {
    expect_file("tests/golden/" + name + ".txt", found);
}

}  // namespace lockstep::golden
