#include "engine/expression/expression.hpp"

#include <gtest/gtest.h>

#include <string>

namespace lockstep {
namespace {

Scope scope() {
    return {{"name", "pg"},
            {"evil", "a'; rm -rf / #"},
            {"count", 3},
            {"words", Value::List{"one", "two words", 3}},
            {"nulls", Value::List{Value()}},
            {"nothing", Value()},
            {"map", Value::Map{{"a", 1}}},
            {"version", PackageVersion("1:4.0.7-1")},
            {"password", Value::secret("hunter2")},
            {"later", Value::unknown("step probe has not run")},
            {"half", Value::List{1, Value::unknown("n2 did not answer")}},
            {"flags", "-x -y"},
            {"quote", "'"},
            {"nul", std::string("a\0b", 3)}};
}

Evaluation rendered(const std::string& text, Quoting quoting = Quoting::none) {
    return Template::parse(text, {"book.yaml", 3, 7}).render(scope(), quoting);
}

Value value_of(const std::string& text, Quoting quoting = Quoting::none) {
    const Evaluation result = rendered(text, quoting);
    if (const auto* const error = std::get_if<EvaluationError>(&result)) {
        ADD_FAILURE() << text << ": " << error->message;
        return {};
    }
    if (std::holds_alternative<Value::Unknown>(result)) {
        ADD_FAILURE() << text << " is unknown";
        return {};
    }
    return std::get<Value>(result);
}

std::string text_of(const std::string& text) {
    return value_of(text).as_string();
}

std::string shell_of(const std::string& text) {
    return value_of(text, Quoting::shell).as_string();
}

EvaluationError error_of(const std::string& text, Quoting quoting = Quoting::none) {
    const Evaluation result = rendered(text, quoting);
    if (const auto* const error = std::get_if<EvaluationError>(&result)) {
        return *error;
    }
    ADD_FAILURE() << text << " is no error";
    return {};
}

std::string unknown_because(const std::string& text, Quoting quoting = Quoting::none) {
    const Evaluation result = rendered(text, quoting);
    const auto* const unknown = std::get_if<Value::Unknown>(&result);
    return unknown == nullptr ? "" : unknown->because;
}

std::string refusal_of(const std::string& text) {
    try {
        (void)Template::parse(text, {"book.yaml", 3, 7});
    } catch (const InputError& error) {
        return error.what();
    }
    ADD_FAILURE() << text << " is not refused";
    return {};
}

TEST(Template, LeavesOrdinaryTextAlone) {
    for (const char* const text : {"", "plain", "$x ${x} {{ x }} }} $$ 100%", "a\nb"}) {
        EXPECT_TRUE(Template::parse(text, {"f", 1, 1}).is_constant());
        EXPECT_EQ(text_of(text), text);
    }
}

TEST(Template, PutsValuesIntoTheText) {
    EXPECT_EQ(text_of("<${{ name }}>"), "<pg>");
    EXPECT_EQ(text_of("${{name}}-${{ count + 1 }}"), "pg-4");
    EXPECT_EQ(text_of("v${{ version }}"), "v1:4.0.7-1");
    EXPECT_EQ(text_of("${{ count }}${{ count }}"), "33");
    EXPECT_EQ(text_of("x${{ words }}"), R"(x["one","two words",3])");
    EXPECT_EQ(text_of("${{ evil }}."), "a'; rm -rf / #.");
    EXPECT_FALSE(Template::parse("a${{ b }}", {"f", 1, 1}).is_constant());
    EXPECT_FALSE(Template::parse("${{ b }}", {"f", 1, 1}).is_constant());
}

TEST(Template, KeepsTheKindOfALoneExpression) {
    EXPECT_EQ(value_of("${{ count }}").kind(), Value::Kind::integer);
    EXPECT_EQ(value_of("${{ words }}").kind(), Value::Kind::list);
    EXPECT_EQ(value_of("${{ nothing }}").kind(), Value::Kind::null);
    EXPECT_EQ(value_of("${{ version }}").kind(), Value::Kind::version);
    EXPECT_EQ(value_of("${{ count | raw }}").kind(), Value::Kind::integer);
    EXPECT_EQ(value_of(" ${{ count }}").kind(), Value::Kind::string);
}

TEST(Template, FindsTheEndOfTheExpression) {
    EXPECT_EQ(text_of("${{ '}}' }}"), "}}");
    EXPECT_EQ(text_of("${{ '${{' }}"), "${{");
    EXPECT_EQ(text_of("${{ \"a|b\" }}."), "a|b.");
    EXPECT_EQ(text_of("<${{ {'a': {'b': 1}}.a.b }}>"), "<1>");
    EXPECT_EQ(text_of("<${{ size({'a': {}}) }}}>"), "<1}>");
    EXPECT_EQ(text_of("<${{ true || false }}>"), "<true>");
    EXPECT_EQ(text_of("<${{\n  name\n}}>"), "<pg>");
    EXPECT_EQ(text_of("<${{ name // }}\n}}>"), "<pg>");
}

TEST(Template, PointsAtMistakes) {
    EXPECT_EQ(refusal_of("ab ${{ name"), "book.yaml:3:10: the ${{ that starts here is not closed");
    EXPECT_EQ(refusal_of("ab ${{ 'name }}"),
              "book.yaml:3:14: the string that starts here is not closed");
    EXPECT_EQ(refusal_of("${{ name }"), "book.yaml:3:7: the ${{ that starts here is not closed");
    EXPECT_EQ(refusal_of("${{ name } }}"), "book.yaml:3:16: expected }} here, found a single }");
    EXPECT_EQ(refusal_of("${{ }}"), "book.yaml:3:11: the expression is empty");
    EXPECT_EQ(refusal_of("a\n b ${{ 1 + }}"),
              "book.yaml:4:17: unexpected the end of the expression");
    EXPECT_EQ(refusal_of("${{ name | quote }}"), "book.yaml:3:18: expected \"raw\" after |");
    EXPECT_EQ(refusal_of("${{ name | raw | raw }}"),
              "book.yaml:3:22: expected }} here, found a single }");
}

TEST(Template, HasNoTextForNull) {
    EXPECT_EQ(error_of("a${{ nothing }}").message, "nothing is null, which has no text");
    EXPECT_EQ(error_of("a${{ nothing }}").hint,
              "Say what should stand there instead: x == null ? 'none' : x.");
    EXPECT_FALSE(error_of("${{ nothing }}", Quoting::shell).message.empty());
    EXPECT_FALSE(error_of("${{ nulls }}", Quoting::shell).message.empty());
}

TEST(Template, IsUnknownWhereAPieceIs) {
    EXPECT_EQ(unknown_because("a${{ later.stdout }}"), "step probe has not run");
    EXPECT_EQ(unknown_because("${{ later }}"), "step probe has not run");
    EXPECT_EQ(unknown_because("a${{ half }}"), "n2 did not answer");
    EXPECT_EQ(unknown_because("${{ half }}"), "n2 did not answer");
    EXPECT_EQ(unknown_because("a ${{ half }}", Quoting::shell), "n2 did not answer");
}

TEST(Template, IsAnErrorWhereAPieceIs) {
    EXPECT_EQ(error_of("a${{ nosuch }}").message, "undefined name \"nosuch\"");
    EXPECT_EQ(error_of("${{ later }}${{ 1 / 0 }}").message, "division by zero");
    EXPECT_EQ(error_of("${{ 1 / 0 }}${{ later }}").message, "division by zero");
}

TEST(Template, IsTaintedWhereAPieceIs) {
    EXPECT_TRUE(value_of("${{ password }}").tainted());
    EXPECT_TRUE(value_of("user=a password=${{ password }}").tainted());
    EXPECT_TRUE(value_of("echo ${{ password }}", Quoting::shell).tainted());
    EXPECT_TRUE(value_of("x${{ [password] }}").tainted());
    EXPECT_FALSE(value_of("x${{ name }}").tainted());
}

TEST(Template, ReadsWhatItsExpressionsRead) {
    const Template t = Template::parse("${{ a.b }} ${{ c.all(x, x.d) }}", {"f", 1, 1});
    EXPECT_EQ(t.reads(), (std::set<std::string>{"a.b", "c", "c[].d"}));
}

TEST(ShellTemplate, QuotesEveryValue) {
    EXPECT_EQ(shell_of("echo ${{ name }}"), "echo pg");
    EXPECT_EQ(shell_of("echo ${{ evil }}"), "echo 'a'\\''; rm -rf / #'");
    EXPECT_EQ(shell_of("echo ${{ '' }}"), "echo ''");
    EXPECT_EQ(shell_of("echo ${{ count }} ${{ version }}"), "echo 3 1:4.0.7-1");
    EXPECT_EQ(shell_of("echo ${{ map }}"), "echo '{\"a\":1}'");
    EXPECT_EQ(shell_of("dir/${{ evil }}/file"), "dir/'a'\\''; rm -rf / #'/file");
}

TEST(ShellTemplate, QuotesAlsoALoneExpression) {
    EXPECT_EQ(shell_of("${{ evil }}"), "'a'\\''; rm -rf / #'");
    EXPECT_EQ(shell_of("${{ count }}"), "3");
}

TEST(ShellTemplate, MakesWordsOfLists) {
    EXPECT_EQ(shell_of("ls ${{ words }}"), "ls one 'two words' 3");
    EXPECT_EQ(shell_of("ls ${{ [] }}"), "ls ");
}

TEST(ShellTemplate, InsertsRawTextAsItIs) {
    EXPECT_EQ(shell_of("ls ${{ flags | raw }} ${{ flags }}"), "ls -x -y '-x -y'");
    EXPECT_EQ(shell_of("echo \"${{ flags | raw }}\""), "echo \"-x -y\"");
}

TEST(ShellTemplate, RefusesValuesInsideOfQuotes) {
    for (const char* const text : {"echo '${{ name }}'",
                                   "echo \"${{ name }}\"",
                                   "echo \"a $(cat ${{ name }})\"",
                                   "echo `cat ${{ name }}`",
                                   "echo $'${{ name }}'",
                                   "echo $${{ name }}",
                                   "echo \\${{ name }}",
                                   "echo 1 # ${{ name }}",
                                   "cat <<EOF\n${{ name }}\nEOF\n",
                                   "cat <<-'EOF'\na\n\t${{ name }}\n\tEOF\n",
                                   "cat <<${{ name }}\n",
                                   "echo \"a\\\"${{ name }}\""}) {
        EXPECT_NE(error_of(text, Quoting::shell).message.find("not safe"), std::string::npos)
            << text;
    }
}

TEST(ShellTemplate, SaysWhatToDoInsteadOfQuotes) {
    const EvaluationError error = error_of("echo \"${{ name }}\"", Quoting::shell);
    EXPECT_EQ(error.message,
              "${{ name }} stands in double quotes, where a quoted value is not safe");
    EXPECT_NE(error.hint.find("take the quotes around it away"), std::string::npos);
}

TEST(ShellTemplate, SeesThatQuotesAreClosed) {
    for (const char* const text : {"echo 'a' ${{ name }}",
                                   "echo \"it's\" ${{ name }}",
                                   "echo 'say \"' ${{ name }}",
                                   "echo \\' ${{ name }}",
                                   "echo \\\" ${{ name }}",
                                   "echo \\\\${{ name }}",
                                   "echo \"a\\\\\" ${{ name }}",
                                   "# don't\necho ${{ name }}",
                                   "echo a#'b' ${{ name }}",
                                   "echo $# ${{ name }}",
                                   "echo ${#x} ${{ name }}",
                                   "echo ${{ name }}#'b' ${{ name }}",
                                   "echo `date` ${{ name }}",
                                   "echo $(cat ${{ name }})",
                                   "cat <<EOF\nit's\nEOF\necho ${{ name }}",
                                   "cat <<EOF | grep ${{ name }}\nit's\nEOF\n",
                                   "cat <<-EOF\n\tit's\n\tEOF\necho ${{ name }}",
                                   "cat <<< word; echo ${{ name }}",
                                   "echo $((1 << 4))\necho ${{ name }}"}) {
        EXPECT_EQ(shell_of(text).find("${{"), std::string::npos) << text;
    }
}

TEST(ShellTemplate, FollowsTheQuotesOfRawText) {
    EXPECT_FALSE(error_of("echo ${{ quote | raw }}${{ name }}'", Quoting::shell).message.empty());
    EXPECT_EQ(shell_of("echo ${{ quote | raw }}a' ${{ name }}"), "echo 'a' pg");
}

TEST(ShellTemplate, DoesNotJudgeTheQuotesBehindUnknownRawText) {
    EXPECT_EQ(unknown_because("echo ${{ later | raw }}' ${{ name }}", Quoting::shell),
              "step probe has not run");
}

TEST(ShellTemplate, RefusesQuotesAlsoAroundWhatIsUnknown) {
    EXPECT_FALSE(error_of("echo '${{ later }}'", Quoting::shell).message.empty());
}

TEST(ShellTemplate, CannotPassNulBytes) {
    EXPECT_NE(error_of("echo ${{ nul }}", Quoting::shell).message.find("NUL"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
