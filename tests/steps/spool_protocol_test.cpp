#include "steps/spool/spool_protocol.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace lockstep {
namespace {

TEST(SpoolAnswer, IsReadByteByByte) {
    std::string lines;
    std::string out;
    std::string err;
    SpoolAnswer answer("nonce",
                       {.line = [&](const std::string& line) { lines += line + ";"; },
                        .out = [&](std::string_view piece) { out += piece; },
                        .err = [&](std::string_view piece) { err += piece; }});
    const std::string said = "welcome\n\n@nonce here\nnoise\n@nonce out\n\n@nonc \n\n@nonce err\n" +
                             std::string("\0\n@", 3) + "\n@nonce ended 0\n";
    for (const char& c : said) {
        answer.feed({&c, 1});
    }
    EXPECT_EQ(lines, "here;ended 0;");
    EXPECT_EQ(out, "\n@nonc \n");
    EXPECT_EQ(err, std::string("\0\n@", 3));
}

TEST(MemberFileName, LeavesAPlainNameAsItIs) {
    EXPECT_EQ(member_file_name("orders-main_1.2"), "orders-main_1.2");
}

TEST(MemberFileName, IsAFilesNameAndNeverAnothersWhateverItIsMadeOf) {
    std::vector<std::string> names;
    for (const std::string& name : {std::string("a/b"),
                                    std::string("a_b"),
                                    std::string("a b"),
                                    std::string(".."),
                                    std::string(""),
                                    std::string("-a"),
                                    std::string(300, 'x'),
                                    std::string(301, 'x'),
                                    std::string("caf\xc3\xa9")}) {
        const std::string file = member_file_name(name);
        EXPECT_FALSE(file.empty());
        EXPECT_LT(file.size(), 130U);
        EXPECT_EQ(file.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789._-"),
                  std::string::npos)
            << file;
        EXPECT_NE(file.front(), '.');
        EXPECT_EQ(std::count(names.begin(), names.end(), file), 0) << file;
        names.push_back(file);
    }
}

}  // namespace
}  // namespace lockstep
