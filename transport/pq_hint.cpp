#include "transport/pq_hint.hpp"

#include <array>

namespace lockstep {

std::string pq_connect_hint(std::string_view message) {
    struct Known {
        std::string_view text;
        const char* hint;
    };

    static constexpr const char* k_scram =
        "The password is given by SCRAM alone: set password_encryption = scram-sha-256 there and "
        "the "
        "password anew, and before libpq 16 ssl = on. Another way is named in dsn: require_auth= "
        "(libpq 16 and later), channel_binding=prefer (before).";
    static constexpr std::array k_known{
        Known{"channel binding", k_scram},
        Known{"authentication method requirement", k_scram},
        Known{"definition of service",
              "Check the name in dsn, and PGSERVICEFILE or ~/.pg_service.conf on this machine."},
        Known{"service file", "Check PGSERVICEFILE or ~/.pg_service.conf on this machine."},
        Known{"certificate verify failed",
              "Give the authority that signed the server's certificate as sslrootcert= in dsn."},
        Known{"root certificate file",
              "Give the authority that signed the server's certificate as sslrootcert= in dsn; "
              "sslmode= names what is to be proven, if not its name (verify-full)."},
        Known{"does not match host name",
              "Its certificate must have the host that Patroni publishes for PostgreSQL "
              "(postgresql.connect_address); sslmode=verify-ca does not look at that."},
        Known{"server does not support SSL",
              "Set ssl: on in PostgreSQL, or another sslmode= in dsn."},
        Known{"no password supplied",
              "Give the password by passfile= in dsn, PGPASSFILE, ~/.pgpass or a service file; "
              "libpq passes over a password file that others may read."},
        Known{"password authentication failed",
              "Check the user in dsn, and the password in passfile=, PGPASSFILE, ~/.pgpass or the "
              "service file: the first line that fits counts."},
        Known{"no pg_hba.conf entry", "Let pg_hba.conf there have this host, user and sslmode."},
        Known{"requires a valid client certificate", "Give sslcert= and sslkey= in dsn."},
    };
    for (const Known& known : k_known) {
        if (message.find(known.text) != std::string_view::npos) {
            return known.hint;
        }
    }
    return "Check listen_addresses and pg_hba.conf there, and the user and password here (dsn, "
           "PGPASSFILE).";
}

}  // namespace lockstep
