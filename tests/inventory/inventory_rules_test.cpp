#include "inventory/inventory_rules.hpp"

#include "inventory/field_readers.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockstep {
namespace {

using Lines = std::vector<std::string>;

Lines warnings_of(const std::string& text) {
    Lines lines;
    for (const InputError& warning : check_inventory(parse_inventory(text, "i.yaml"))) {
        lines.push_back(std::to_string(warning.where().line) + " " + warning.rule());
        EXPECT_FALSE(warning.hint().empty());
    }
    return lines;
}

TEST(InventoryRules, SayNothingOfWhatIsSafe) {
    EXPECT_EQ(
        warnings_of("clusters:\n"
                    "  a:\n"
                    "    patroni: {endpoints: [https://n1:8008], username: u, password: {env: X}}\n"
                    "    postgres: {via: direct}\n"
                    "  b:\n"
                    "    patroni: {endpoints: [http://n1:8008], via: ssh, username: u, password: "
                    "{env: X}}\n"
                    "    postgres: {via: direct, dsn: user=a sslmode=verify-full}\n"),
        Lines{});
}

TEST(InventoryRules, NameAPasswordThatGoesByHttp) {
    EXPECT_EQ(warnings_of("clusters:\n"
                          "  a:\n"
                          "    patroni:\n"
                          "      endpoints: [http://n1:8008]\n"
                          "      username: u\n"
                          "      password: {env: X}\n"),
              Lines{"6 inventory.password_in_clear"});
}

TEST(InventoryRules, NameWhoMayAnswerForSomebodyElse) {
    for (const char* dsn : {"user=a sslmode=require",
                            "user=a sslmode = 'prefer'",
                            "sslmode=verify-full sslmode=disable",
                            "user=a channel_binding=prefer",
                            "require_auth=password",
                            "postgresql://a@/db?connect_timeout=3&sslmode=require",
                            "postgres:///?channel_binding=disable"}) {
        EXPECT_EQ(warnings_of("clusters:\n  a:\n    patroni: {endpoints: [https://n1:8008]}\n"
                              "    postgres: {via: direct, dsn: \"" +
                              std::string(dsn) + "\"}\n"),
                  Lines{"4 inventory.unverified_server"})
            << dsn;
    }
    EXPECT_EQ(
        warnings_of("clusters:\n  a:\n    patroni: {endpoints: [https://n1:8008], username: u,\n"
                    "              password: {env: X}, insecure_skip_verify: true}\n"),
        Lines{"4 inventory.unverified_server"});
}

TEST(InventoryRules, SayOnceWhatDefaultsSay) {
    EXPECT_EQ(warnings_of("defaults: {postgres: {via: direct, dsn: sslmode=require}}\n"
                          "clusters:\n"
                          "  a: {patroni: {endpoints: [https://n1:8008]}}\n"
                          "  b: {patroni: {endpoints: [https://n2:8008]}}\n"),
              Lines{"1 inventory.unverified_server"});
}

TEST(DsnValue, IsTheLastThatIsGiven) {
    using inventory_fields::dsn_value;
    EXPECT_EQ(dsn_value("user=a sslmode = 'it\\'s' x=y", "sslmode"), "it's");
    EXPECT_EQ(dsn_value("user='sslmode=require'", "sslmode"), std::nullopt);
    EXPECT_EQ(dsn_value("sslmode=a sslmode=b user=c", "sslmode"), "b");
    EXPECT_EQ(dsn_value("sslmode=a sslmode=b user=c", "user"), "c");
    EXPECT_EQ(dsn_value("sslmode", "sslmode"), "");
    EXPECT_EQ(dsn_value("postgresql://u@/d?sslmode=require", "sslmode"), "require");
    EXPECT_EQ(dsn_value("postgresql://u@/d", "sslmode"), std::nullopt);
    EXPECT_EQ(dsn_value("", "sslmode"), std::nullopt);
}

}  // namespace
}  // namespace lockstep
