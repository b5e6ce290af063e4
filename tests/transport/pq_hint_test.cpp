#include "transport/pq_hint.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace lockstep {
namespace {

// As libpq 15 and PostgreSQL 17 say it.
TEST(PqHint, NamesWhatHasToBeChanged) {
    const std::vector<std::pair<const char*, const char*>> known{
        {"connection to server at \"10.0.0.11\", port 5432 failed: SSL error: certificate verify "
         "failed",
         "sslrootcert"},
        {"root certificate file \"/root/.postgresql/root.crt\" does not exist", "sslrootcert"},
        {"server certificate for \"n1\" (and 1 other name) does not match host name \"10.0.0.11\"",
         "connect_address"},
        {"server does not support SSL, but SSL was required", "ssl: on"},
        {"fe_sendauth: no password supplied", "passfile"},
        {"FATAL:  password authentication failed for user \"lockstep\"", "first line that fits"},
        {"definition of service \"orders\" not found", "PGSERVICEFILE"},
        {"FATAL:  no pg_hba.conf entry for host \"10.0.0.1\", user \"lockstep\"", "pg_hba.conf"},
        {"Connection refused", "listen_addresses"},
    };
    for (const auto& [message, word] : known) {
        EXPECT_NE(pq_connect_hint(message).find(word), std::string::npos) << message;
    }
}

}  // namespace
}  // namespace lockstep
