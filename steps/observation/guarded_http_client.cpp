#include "steps/observation/guarded_http_client.hpp"

#include "base/error.hpp"
#include "base/url.hpp"
#include "inventory/rest_policy.hpp"

#include <utility>

namespace lockstep {

namespace {

using Kind = TransportError::Kind;

constexpr long k_asks_for_credentials = 401;

class GuardedHttpClient final : public HttpClient {
  public:
    GuardedHttpClient(std::unique_ptr<HttpClient> client,
                      const Cluster& cluster,
                      std::string asked_on)
        : client_(std::move(client)), cluster_(cluster), asked_on_(std::move(asked_on)) {}

    HttpResponse send(const HttpRequest& request,
                      Deadline deadline,
                      std::stop_token stop) override {
        if (is_downgrade(cluster_.patroni, request.url)) {
            throw TransportError(Kind::host_key,
                                 "nothing is sent to " + request.url +
                                     ": it is http, and the endpoints of the inventory are https",
                                 "Give the Patroni there a certificate (restapi.certfile) and "
                                 "restart it; one that really has none is named under "
                                 "patroni.endpoints with its http address.");
        }
        const bool has_credentials = !cluster_.patroni.username.empty();
        const bool may = may_have_credentials(cluster_, request.url, asked_on_);
        const bool reads = request.method == "GET" || request.method == "HEAD";
        if (has_credentials && !may && !reads) {
            throw TransportError(Kind::auth,
                                 request.method + " " + request.url +
                                     " is not sent: the inventory knows no host " +
                                     url_host(request.url) + ", so it does not get the password",
                                 "Name the host under patroni.endpoints or members: in the "
                                 "inventory; or give ca_file, and the host a certificate for its "
                                 "name.");
        }
        HttpRequest sent = request;
        sent.anonymous = request.anonymous || reads || !may;
        HttpResponse response = client_->send(sent, deadline, stop);
        if (response.status == k_asks_for_credentials && reads && has_credentials && may) {
            response = client_->send(request, deadline, std::move(stop));
        }
        return response;
    }

  private:
    std::unique_ptr<HttpClient> client_;
    const Cluster& cluster_;
    std::string asked_on_;
};

}  // namespace

std::unique_ptr<HttpClient> make_guarded_http_client(std::unique_ptr<HttpClient> client,
                                                     const Cluster& cluster,
                                                     std::string asked_on) {
    return std::make_unique<GuardedHttpClient>(std::move(client), cluster, std::move(asked_on));
}

}  // namespace lockstep
