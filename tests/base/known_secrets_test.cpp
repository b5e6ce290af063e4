#include "base/known_secrets.hpp"

#include "base/error.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <string>

namespace lockstep {
namespace {

class KnownSecrets : public testing::Test {
  protected:
    ~KnownSecrets() override { forget_secrets(); }
};

TEST_F(KnownSecrets, AreHiddenInEveryFormThatProgramsPrint) {
    remember_secret("it's a p@ss/$w&rd\"x");
    for (const char* form : {"it's a p@ss/$w&rd\"x",
                             "aXQncyBhIHBAc3MvJHcmcmQieA==",            // base64
                             "69742773206120704073732f24772672642278",  // xxd -p
                             "69742773206120704073732F24772672642278",
                             "it's a p@ss/$w&rd\\\"x",    // JSON
                             "it's a p@ss\\/$w&rd\\\"x",  // of PHP
                             "it%27s%20a%20p%40ss%2F%24w%26rd%22x",
                             "it%27s%20a%20p%40ss%2f%24w%26rd%22x",
                             "it%27s+a+p%40ss%2F%24w%26rd%22x",
                             "it'\\''s a p@ss/$w&rd\"x",          // shell_quote
                             "it'\"'\"'s a p@ss/$w&rd\"x",        // dash, set -x
                             "it''s a p@ss/$w&rd\"x",             // SQL
                             "it\\'s a p@ss/$w&rd\"x",            // Python, $'…'
                             "it's a p@ss/\\$w&rd\\\"x",          // "…"
                             "it\\'s\\ a\\ p@ss/\\$w\\&rd\\\"x",  // printf %q
                             "it&#39;s a p@ss/$w&amp;rd&quot;x",
                             "it&#x27;s a p@ss/$w&amp;rd&quot;x"}) {
        std::string text = std::string("<") + form + ">";
        EXPECT_TRUE(hide_secrets(text)) << form;
        EXPECT_EQ(text, "<***>") << form;
    }
}

// `echo -n u:hunter2secret | base64` and its like. A digit that stands for bits of what is beside
// it, too, may stay.
TEST_F(KnownSecrets, AreFoundWithinBase64WhereverTheyBegin) {
    remember_secret("hunter2secret");
    EXPECT_EQ(without_secrets("Basic aHVudGVyMnNlY3JldA=="), "Basic ***");
    EXPECT_EQ(without_secrets("Basic dTpodW50ZXIyc2VjcmV0"), "Basic dTp***");
    EXPECT_EQ(without_secrets("Basic dXU6aHVudGVyMnNlY3JldA=="), "Basic dXU6***");
    EXPECT_EQ(without_secrets("Basic dXV1Omh1bnRlcjJzZWNyZXQK"), "Basic dXV1Om***QK");
}

TEST_F(KnownSecrets, OfSeveralLinesAreHiddenLineByLine) {
    remember_secret("first line\nsecond line\r\nabc\n");
    EXPECT_EQ(without_secrets("first line\nsecond line\r\nabc"), "***");
    EXPECT_EQ(without_secrets("> second line <"), "> *** <");
    EXPECT_EQ(without_secrets("abc"), "abc");  // too short to be looked for
}

TEST_F(KnownSecrets, ThatOverlapLeaveNothing) {
    remember_secret("abcd1234");
    remember_secret("1234wxyz");
    EXPECT_EQ(without_secrets("-abcd1234wxyz-"), "-***-");
    EXPECT_EQ(without_secrets("abcd1234abcd1234"), "***");
}

TEST_F(KnownSecrets, AreHiddenAlsoWhereATextWasCut) {
    remember_secret("hunter2secret");
    std::string cut = "password=hunter2se";
    EXPECT_FALSE(hide_secrets(cut));
    EXPECT_TRUE(hide_cut_secrets(cut));
    EXPECT_EQ(cut, "password=***");
    std::string by_chance = "the path";
    EXPECT_FALSE(hide_cut_secrets(by_chance));
}

TEST_F(KnownSecrets, OfFewerThanFourBytesAreNotLookedFor) {
    remember_secret("abc");
    EXPECT_EQ(without_secrets("abc abc"), "abc abc");
    remember_secret("");
    EXPECT_EQ(without_secrets(""), "");
}

TEST_F(KnownSecrets, AreHiddenInTextsKeysAndNumbersOfADocument) {
    remember_secret("hunter2secret");
    remember_secret("424242");
    nlohmann::json json{{"hunter2secret", {{"n", 1424242}, {"list", {"x hunter2secret", true}}}}};
    nlohmann::json texts = json;
    EXPECT_TRUE(hide_secrets(json));
    EXPECT_EQ(json.dump(), R"({"***":{"list":["x ***",true],"n":"1***"}})");
    EXPECT_TRUE(hide_secrets_in_texts(texts));
    EXPECT_EQ(texts.dump(), R"({"hunter2secret":{"list":["x ***",true],"n":1424242}})");
    nlohmann::json clean{{"a", 1}};
    EXPECT_FALSE(hide_secrets(clean));
}

TEST_F(KnownSecrets, AreInNoError) {
    remember_secret("hunter2secret");
    const Error error("login of hunter2secret", "Try hunter2secret.");
    EXPECT_STREQ(error.what(), "login of ***");
    EXPECT_EQ(error.hint(), "Try ***.");
    const InputError input({"hunter2secret.yaml", 3, 4}, "is hunter2secret");
    EXPECT_STREQ(input.what(), "***.yaml:3:4: is ***");
    EXPECT_EQ(input.message(), "is ***");
}

TEST_F(KnownSecrets, OfTheEnvironmentAreKnownByTheirName) {
    ::setenv("LOCKSTEP_TEST_KNOWN", "hunter2secret", 1);  // NOLINT(concurrency-mt-unsafe)
    remember_secret_variable("LOCKSTEP_TEST_KNOWN");
    ::unsetenv("LOCKSTEP_TEST_KNOWN");  // NOLINT(concurrency-mt-unsafe)
    EXPECT_TRUE(is_secret_variable("LOCKSTEP_TEST_KNOWN"));
    EXPECT_FALSE(is_secret_variable("PATH"));
    EXPECT_EQ(without_secrets("hunter2secret"), "***");
}

}  // namespace
}  // namespace lockstep
