#pragma once

#include "temp_dir.hpp"

#include <string>

namespace lockstep {

/// A PostgreSQL server on loopback and on a unix socket, for one test suite. It is run as the user
/// postgres where the test is root, because the server refuses root.
class TestPostgres {
  public:
    static bool installed();

    TestPostgres();
    ~TestPostgres();
    TestPostgres(const TestPostgres&) = delete;
    TestPostgres& operator=(const TestPostgres&) = delete;

    [[nodiscard]] int port() const { return port_; }

    [[nodiscard]] std::string socket_directory() const { return dir_.path(""); }

    /// Shell words in front of a program of PostgreSQL's; may be empty.
    [[nodiscard]] static std::string become();
    [[nodiscard]] static std::string user();

  private:
    TempDir dir_;
    int port_ = 0;
};

}  // namespace lockstep
