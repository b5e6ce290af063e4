#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

/// The broken files below tests/golden/invalid, each with what must be said about it in comments:
///
///     # expect: 4:7: duplicate key "id" [yaml.duplicate_key]
///     # hint: The first one is on line 3.
///
/// one `expect` for each error, in their order, with its rule in brackets; `hint` is optional and
/// belongs to the one before.
namespace lockstep::golden {

struct ExpectedError {
    std::string message;  ///< `line:column: message [rule]`; without a place where there is none
    std::string hint;     ///< empty: any
};

struct InvalidFile {
    std::string path;
    std::string text;
    std::vector<ExpectedError> expected;

    /// For the names of the tests: the file's name, with _ for what gtest does not take.
    [[nodiscard]] std::string name() const {
        std::string stem = std::filesystem::path(path).stem().string();
        std::replace(stem.begin(), stem.end(), '-', '_');
        return stem;
    }

    friend void PrintTo(const InvalidFile& file, std::ostream* out) { *out << file.path; }
};

inline std::vector<ExpectedError> expectations_of(const std::string& text) {
    const std::string expect = "# expect: ";
    const std::string hint = "# hint: ";
    std::vector<ExpectedError> expected;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with(expect)) {
            expected.push_back({line.substr(expect.size()), {}});
        } else if (line.starts_with(hint) && !expected.empty()) {
            expected.back().hint = line.substr(hint.size());
        }
    }
    return expected;
}

inline std::vector<InvalidFile> invalid_files(const std::filesystem::path& folder) {
    std::vector<InvalidFile> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() == ".yaml") {
            std::ostringstream text;
            text << std::ifstream(entry.path()).rdbuf();
            files.push_back({entry.path().string(), text.str(), expectations_of(text.str())});
        }
    }
    std::sort(
        files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return files;
}

}  // namespace lockstep::golden
