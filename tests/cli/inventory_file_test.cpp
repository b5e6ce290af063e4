#include "cli/inventory_file.hpp"

#include "base/error.hpp"
#include "cli/commands.hpp"
#include "cli/people.hpp"
#include "tests/transport/temp_dir.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace lockstep {
namespace {

/// An inventory in the working directory, which somebody else may have put there.
class InventoryFile : public testing::Test {
  protected:
    InventoryFile() {
        ::unsetenv("LOCKSTEP_INVENTORY");  // NOLINT(concurrency-mt-unsafe)
        std::filesystem::current_path(temp.path(""));
        write("");
    }

    ~InventoryFile() override { std::filesystem::current_path(before_); }

    void write(const std::string& more) const {
        temp.write(
            "inventory.yaml",
            "clusters:\n  orders:\n    patroni: {endpoints: [\"http://10.0.0.1:8008\"]}\n" + more);
        mode("inventory.yaml", 0644);
    }

    void mode(const std::string& name, mode_t mode) const {
        ::chmod(temp.path(name).c_str(), mode);
    }

    /// What it says; empty: it is taken. What it says on stderr is in `told`.
    std::string refusal() {
        testing::internal::CaptureStderr();
        std::string message;
        try {
            (void)inventory_of(options);
        } catch (const InputError& error) {
            message = error.message();
            hint = error.hint();
        }
        told = testing::internal::GetCapturedStderr();
        return message;
    }

    TempDir temp;
    Options options;
    std::string told;
    std::string hint;

  private:
    std::filesystem::path before_ = std::filesystem::current_path();
};

TEST_F(InventoryFile, OfTheWorkingDirectoryIsToldAndANamedOneIsNot) {
    EXPECT_EQ(refusal(), "");
    EXPECT_EQ(told, "the inventory is " + temp.path("inventory.yaml") + "\n");
    options.inventory = "inventory.yaml";
    EXPECT_EQ(refusal(), "");
    EXPECT_EQ(told, "");
}

TEST_F(InventoryFile, ThatWasFoundAndThatOthersMayWriteToIsRefusedWhateverIsAllowed) {
    mode("inventory.yaml", 0666);
    EXPECT_EQ(refusal(), "is not used: everybody may write to it");
    options.allow_shared_inventory = true;
    EXPECT_EQ(refusal(), "is not used: everybody may write to it");
    EXPECT_NE(hint.find("name it, and add --allow-shared-inventory"), std::string::npos);
    mode("inventory.yaml", 0644);
    mode("", 01777);
    EXPECT_NE(refusal().find("everybody may write to its folder"), std::string::npos);
}

TEST_F(InventoryFile, ThatWasNamedAndThatOthersMayWriteToIsAllowedByName) {
    options.inventory = "inventory.yaml";
    mode("inventory.yaml", 0666);
    EXPECT_EQ(refusal(), "is not used: everybody may write to it");
    options.allow_shared_inventory = true;
    EXPECT_EQ(refusal(), "");
}

TEST_F(InventoryFile, ThatIsAPipeIsNotWaitedFor) {
    std::filesystem::remove(temp.path("inventory.yaml"));
    ASSERT_EQ(::mkfifo(temp.path("inventory.yaml").c_str(), 0644), 0);
    EXPECT_NE(refusal(), "");
    EXPECT_THROW((void)read_inventory(options), InputError);
}

TEST_F(InventoryFile, NamesNoFileThatOthersMayWriteTo) {
    temp.write("config", "ProxyCommand id\n");
    temp.write("known", "");
    mode("config", 0666);
    write("    ssh: {config_file: config, known_hosts: known}\n");
    EXPECT_EQ(refusal(), "the inventory names it, and it is not used: everybody may write to it");
    mode("config", 0644);
    EXPECT_EQ(refusal(), "");
    mode("known", 0666);
    EXPECT_NE(refusal(), "");
    options.inventory = "inventory.yaml";
    options.allow_shared_inventory = true;
    EXPECT_EQ(refusal(), "");
    write("    members: {n1: {ssh: {config_file: none, known_hosts: known}}}\n");
    options.allow_shared_inventory = false;
    EXPECT_NE(refusal(), "");
}

TEST_F(InventoryFile, OfARunbookThatOthersMayWriteToIsNoneToRunBy) {
    temp.write("work.yaml",
               "runbook: work\nsteps:\n  - {id: a, uses: runbook, with: {name: ./part.yaml}}\n");
    temp.write("part.yaml",
               "runbook: part\nsteps:\n  - {id: b, uses: assert, with: {that: \"true\"}}\n");
    mode("work.yaml", 0644);
    mode("part.yaml", 0644);
    const std::string path = temp.path("work.yaml");
    EXPECT_NO_THROW((void)find_runbook(path, SharedRunbook::refused));
    mode("part.yaml", 0666);
    EXPECT_THROW((void)find_runbook(path, SharedRunbook::refused), Error) << "what it calls, too";
    EXPECT_NO_THROW((void)find_runbook(path, SharedRunbook::allowed));
    mode("part.yaml", 0644);
    mode("work.yaml", 0666);
    EXPECT_THROW((void)find_runbook(path, SharedRunbook::refused), InputErrors);
    EXPECT_NO_THROW((void)find_runbook(path));
    EXPECT_THROW((void)text_to_run(path, SharedRunbook::refused), InputError) << "a saved plan";
}

/// Whose key it is says the inventory of whoever judges: a record's command is not even started.
TEST_F(InventoryFile, OnRecordNamesNobodysKey) {
    const std::string proof = temp.path("proof");
    const Inventory recorded = parse_inventory(
        "clusters:\n  orders:\n    patroni: {endpoints: [\"http://10.0.0.1:8008\"]}\n"
        "approvers: {anna: {secret: {command: [sh, -c, \"touch " +
            proof + "; echo k\"]}}}\n",
        temp.path("recorded.yaml"));
    const People alone = people_of(nullptr, recorded);
    EXPECT_THROW((void)alone.key_of("anna"), Error);
    EXPECT_EQ(alone.key_of("bert"), std::nullopt);
    temp.write("key", "anna's\n");
    mode("key", 0600);
    write("approvers: {anna: {secret: {file: key}}, bert: {secret: {file: key}}}\n");
    const Inventory own = read_inventory(options);
    const People people = people_of(&own, recorded);
    EXPECT_EQ(people.key_of("anna"), "anna's");
    EXPECT_EQ(people.key_of("bert"), "anna's") << "also whom the record leaves out";
    write("");
    const Inventory without = read_inventory(options);
    EXPECT_THROW((void)people_of(&without, recorded).key_of("anna"), Error);
    EXPECT_FALSE(std::filesystem::exists(proof));
}

}  // namespace
}  // namespace lockstep
