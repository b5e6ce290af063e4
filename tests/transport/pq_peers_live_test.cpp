#include "base/error.hpp"
#include "loopback_listener.hpp"
#include "temp_dir.hpp"
#include "test_postgres.hpp"
#include "transport/sql_client.hpp"

#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <poll.h>
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

/// Who answers in the place of PostgreSQL, one connection after the other.
class Peer {
  public:
    explicit Peer(std::function<void(int socket)> serve)
        : listener_(listen_on_loopback()),
          serve_(std::move(serve)),
          thread_([this] { accept(); }) {}

    ~Peer() { ::shutdown(listener_.fd.get(), SHUT_RDWR); }

    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    Peer(Peer&&) = delete;
    Peer& operator=(Peer&&) = delete;

    [[nodiscard]] std::uint16_t port() const { return static_cast<std::uint16_t>(listener_.port); }

  private:
    void accept() {
        while (true) {
            const UniqueFd socket(::accept4(listener_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!socket) {
                return;
            }
            const timeval patience{.tv_sec = 5, .tv_usec = 0};
            ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
            serve_(socket.get());
        }
    }

    LoopbackListener listener_;
    std::function<void(int)> serve_;
    std::jthread thread_;
};

std::string receive(int socket) {
    std::array<char, 8192> piece{};
    const ssize_t count = ::recv(socket, piece.data(), piece.size(), 0);
    return {piece.data(), count > 0 ? static_cast<std::size_t>(count) : 0};
}

void answer(int socket, std::string_view text) {
    [[maybe_unused]] const ssize_t count = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
}

/// Has no TLS, and asks for the password in its own way (PostgreSQL's protocol 3.0, 55.7); keeps
/// all that it is sent.
class Thief {
  public:
    explicit Thief(std::string request)
        : request_(std::move(request)), peer_([this](int socket) { serve(socket); }) {}

    [[nodiscard]] std::uint16_t port() const { return peer_.port(); }

    std::string heard() {
        const std::lock_guard lock(mutex_);
        return heard_;
    }

  private:
    void serve(int socket) {
        bool asked = false;
        for (std::string text = receive(socket); !text.empty(); text = receive(socket)) {
            const std::lock_guard lock(mutex_);
            const bool wants_encryption = text.size() == 8;  // SSLRequest, GSSENCRequest
            heard_ += text;
            if (wants_encryption || !asked) {
                answer(socket, wants_encryption ? "N" : request_);
                asked = asked || !wants_encryption;
            } else {
                return;
            }
        }
    }

    std::string request_;
    std::mutex mutex_;
    std::string heard_;
    Peer peer_;
};

const std::string k_in_clear("R\0\0\0\x08\0\0\0\x03", 9);
const std::string k_by_md5("R\0\0\0\x0c\0\0\0\x05salt", 13);

class PqPeers : public testing::Test {
  protected:
    PqPeers() {
        const std::string path = folder_.write("pgpass", "*:*:*:*:db-superuser-pw\n");
        ::chmod(path.c_str(), S_IRUSR | S_IWUSR);
        conninfo_ = "user=postgres passfile=" + path;
    }

    static std::optional<TransportError> failure(const std::string& conninfo, std::uint16_t port) {
        try {
            make_pq_client({.conninfo = conninfo, .host = "127.0.0.1", .port = port})
                ->query({.text = "SELECT 1"}, Deadline::after(5s), {});
        } catch (const TransportError& error) {
            return error;
        }
        return std::nullopt;
    }

    TempDir folder_;
    std::string conninfo_;
};

TEST_F(PqPeers, GetNoPasswordWithoutACertificate) {
    Thief thief(k_in_clear);
    const auto error = failure(conninfo_, thief.port());
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::connect);
    EXPECT_EQ(thief.heard().find("db-superuser-pw"), std::string::npos);
    EXPECT_EQ(thief.heard().find("postgres"), std::string::npos) << "not even the startup packet";
}

// sslmode is named, and how a password is given is not.
TEST_F(PqPeers, GetNoPasswordForTheirAsking) {
    for (const std::string& request : {k_in_clear, k_by_md5}) {
        for (const char* mode : {" sslmode=prefer", " sslmode=disable", " sslmode=allow"}) {
            Thief thief(request);
            const auto error = failure(conninfo_ + mode, thief.port());
            ASSERT_TRUE(error);
            EXPECT_EQ(error->kind(), Kind::connect);
            EXPECT_NE(error->hint().find("SCRAM"), std::string::npos) << error->what();
            EXPECT_NE(thief.heard().find("postgres"), std::string::npos) << "it did not get so far";
            EXPECT_EQ(thief.heard().find("db-superuser-pw"), std::string::npos) << mode;
            EXPECT_EQ(thief.heard().find("md5"), std::string::npos) << mode;
        }
    }
}

// libpq as it is: what the tests above look for can be heard.
TEST_F(PqPeers, WouldGetItFromLibpqAsItIs) {
    for (const std::string& request : {k_in_clear, k_by_md5}) {
        Thief thief(request);
        const std::string all =
            conninfo_ +
            " sslmode=prefer host=127.0.0.1 connect_timeout=5 port=" + std::to_string(thief.port());
        ::PQfinish(::PQconnectdb(all.c_str()));
        const std::string secret = request == k_in_clear ? "db-superuser-pw" : "md5";
        EXPECT_NE(thief.heard().find(secret), std::string::npos);
    }
}

/// A pooler as far as a client can tell: the process that it is greeted with is none of the
/// server's.
class Pooler {
  public:
    explicit Pooler(int server) : server_(server), peer_([this](int socket) { relay(socket); }) {}

    [[nodiscard]] std::uint16_t port() const { return peer_.port(); }

  private:
    void relay(int client) const {
        const UniqueFd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(static_cast<std::uint16_t>(server_));
        if (::connect(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
            return;
        }
        std::array<pollfd, 2> both{{{client, POLLIN, 0}, {server.get(), POLLIN, 0}}};
        while (::poll(both.data(), both.size(), 5'000) > 0) {
            const bool from_server = both[0].revents == 0;
            std::string text = receive(both[from_server ? 1 : 0].fd);
            if (text.empty()) {
                return;
            }
            const std::size_t key = text.find(std::string("K\0\0\0\x0c", 5));  // BackendKeyData
            if (from_server && key != std::string::npos && key + 9 <= text.size()) {
                text[key + 5] = static_cast<char>(text[key + 5] ^ 0x40);
            }
            answer(both[from_server ? 0 : 1].fd, text);
        }
    }

    int server_;
    Peer peer_;
};

TEST(PqPooler, IsReadThroughAndGetsNothingThatChanges) {
    if (!TestPostgres::installed()) {
        GTEST_SKIP() << "no PostgreSQL server";
    }
    const TestPostgres postgres;
    const Pooler pooler(postgres.port());
    const auto client_at = [](int port) {
        return make_pq_client({.conninfo = "sslmode=disable user=" + TestPostgres::user(),
                               .host = "127.0.0.1",
                               .port = static_cast<std::uint16_t>(port)});
    };
    const auto pooled = client_at(pooler.port());
    const SqlStatement path{.text = "SHOW search_path"};
    EXPECT_EQ(pooled->query(path, Deadline::after(5s), {}).rows.at(0).at(0), "pg_catalog, pg_temp");
    try {
        pooled->query(
            {.text = "CREATE TABLE public.pooled ()", .read_only = false}, Deadline::after(5s), {});
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::connect);
        EXPECT_NE(std::string(error.what()).find("pooler"), std::string::npos) << error.what();
    }
    const auto direct = client_at(postgres.port());
    const SqlStatement there{.text = "SELECT 1 FROM pg_class WHERE relname = 'pooled'"};
    EXPECT_TRUE(direct->query(there, Deadline::after(5s), {}).rows.empty());
    direct->query(
        {.text = "CREATE TABLE public.pooled ()", .read_only = false}, Deadline::after(5s), {});
    EXPECT_EQ(direct->query(there, Deadline::after(5s), {}).rows.size(), 1U);
}

}  // namespace
}  // namespace lockstep
