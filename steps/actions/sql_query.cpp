#include "base/or_null.hpp"
#include "steps/catalog.hpp"

namespace lockstep {

namespace {

SqlStatement statement_of(const StepCall& call) {
    return {.text = text_arg(call, "query"),
            .params = list_arg(call, "params"),
            .database = text_arg(call, "database", ""),
            .read_only = bool_arg(call, "read_only", true),
            .search_path = list_arg(call, "search_path")};
}

/// Without a member the leader is asked.
std::string member_of(const StepCall& call, const ClusterFacts& facts) {
    return call.member.empty() ? facts.leader : call.member;
}

std::string outcome_of(const SqlResult& result) {
    if (result.columns.empty()) {
        return "done";  // a statement that gives no rows, such as ALTER SYSTEM
    }
    return std::to_string(result.rows.size()) + (result.rows.size() == 1 ? " row" : " rows");
}

/// Of a schema, a relation, a function or operator, a type (errcodes.txt, PostgreSQL 11 to 18).
/// Or of what would be created in pg_catalog, which nobody may.
bool is_unknown_name(const SqlError& error) {
    const std::string& sqlstate = error.sqlstate();
    const bool created =
        std::string_view(error.what()).find("pg_catalog.") != std::string_view::npos;
    return (sqlstate == "42501" && created) || sqlstate == "3F000" || sqlstate == "42P01" ||
           sqlstate == "42883" || sqlstate == "42704";
}

class SqlQuery final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        const SqlStatement statement = statement_of(call);
        const std::string member = member_of(call, facts);
        Preview preview;
        preview.read_only = statement.read_only;
        preview.acts_within = k_sql_acts_within;
        preview.answers_within = sql_answers_within(call);
        preview.because = statement.read_only ? "in a read-only transaction" : "always";
        preview.blocked_by = refuse_unless_reachable(
            facts.find(member), member.empty() ? "the leader" : member, false, false, true);
        preview.operations.push_back({Operation::Kind::sql, statement.text});
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        StepCall on_member = call;
        on_member.member = member_of(call, context.facts);
        SqlResult rows;
        try {
            rows = context.sql(context.member(on_member), statement_of(call));
        } catch (const SqlError& error) {
            if (!is_unknown_name(error)) {
                throw;
            }
            return {.outcome = StepOutcome::failed,
                    .message = std::string("PostgreSQL says: ") + error.what(),
                    .hint =
                        "Names without a schema are looked up in pg_catalog alone: write "
                        "schema.name, or give search_path."};
        }
        nlohmann::json list = nlohmann::json::array();
        for (const auto& row : rows.rows) {
            nlohmann::json object = nlohmann::json::object();
            for (std::size_t i = 0; i < rows.columns.size() && i < row.size(); ++i) {
                object[rows.columns[i]] = or_null(row[i]);
            }
            list.push_back(std::move(object));
        }
        return {.message = outcome_of(rows), .output = {{"rows", list}}};
    }
};

}  // namespace

std::unique_ptr<Action> make_sql_query() {
    return std::make_unique<SqlQuery>();
}

}  // namespace lockstep
