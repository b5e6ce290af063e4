#include "base/trusted_file.hpp"

#include "base/error.hpp"
#include "base/state_folder.hpp"
#include "base/yaml.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace lockstep {
namespace {

constexpr uid_t k_somebody = 54321;

/// A folder of ours, and what others may have done to it.
class OthersFiles : public testing::Test {
  protected:
    OthersFiles() {
        std::string pattern = testing::TempDir() + "lockstep-files-XXXXXX";
        folder = ::mkdtemp(pattern.data());
    }

    ~OthersFiles() override { std::filesystem::remove_all(folder); }

    [[nodiscard]] std::string path(const std::string& name) const { return folder + "/" + name; }

    std::string file(const std::string& name, mode_t mode, const std::string& text = "text") const {
        std::ofstream(path(name)) << text;
        ::chmod(path(name).c_str(), mode);
        return path(name);
    }

    [[nodiscard]] static std::string text_of(const std::string& path) {
        std::ostringstream text;
        text << std::ifstream(path).rdbuf();
        return text.str();
    }

    [[nodiscard]] static mode_t mode_of(const std::string& path) {
        struct stat about {};

        EXPECT_EQ(::lstat(path.c_str(), &about), 0) << path;
        return about.st_mode & 07777U;
    }

    /// What a state folder says to its file; empty: it is fit.
    [[nodiscard]] std::string refusal(const std::string& name) const {
        try {
            StateFolder(folder).make_file(name);
        } catch (const Error& error) {
            return error.what();
        }
        return {};
    }

    [[nodiscard]] std::string writer(const std::string& of, FoundBy by = FoundBy::luck) const {
        return who_else_may_write(path(of), by);
    }

    [[nodiscard]] std::string knows(const std::string& of) const {
        return who_else_knows(path(of));
    }

    std::string folder;
};

using OthersMayWrite = OthersFiles;
using OthersMayRead = OthersFiles;
using StateFolders = OthersFiles;

TEST_F(OthersMayWrite, IsAskedOfTheFileAndOfItsFolder) {
    file("a", 0644);
    EXPECT_EQ(writer("a"), "");
    file("b", 0646);
    EXPECT_EQ(writer("b"), "everybody may write to it");
    EXPECT_EQ(writer("b", FoundBy::name), "everybody may write to it");
    ::chmod(folder.c_str(), 0757);
    EXPECT_EQ(writer("a"), "everybody may write to its folder " + folder);
    EXPECT_EQ(writer("a", FoundBy::name), "everybody may write to its folder " + folder);
    ::chmod(folder.c_str(), 01757);
    EXPECT_EQ(writer("a"), "everybody may write to its folder " + folder);
    EXPECT_EQ(writer("a", FoundBy::name), "") << "nobody can replace another's file there";
    EXPECT_EQ(writer("none"), "") << "whoever reads it says that it is not there";
}

TEST_F(OthersMayWrite, IsAskedOfTheFolderOfALinkAndOfItsTarget) {
    std::filesystem::create_directory(path("open"));
    file("open/target", 0644);
    ::chmod(path("open").c_str(), 0777);
    std::filesystem::create_symlink("open/target", path("link"));
    EXPECT_EQ(writer("link"), "everybody may write to its folder " + path("open"));
    ::chmod(path("open").c_str(), 0755);
    EXPECT_EQ(writer("link"), "");
    file("other", 0644);
    std::filesystem::create_symlink("../other", path("open/link"));
    ::chmod(path("open").c_str(), 0777);
    EXPECT_EQ(writer("open/link"), "everybody may write to its folder " + path("open"));
}

TEST_F(OthersMayWrite, IsTrueOfWhomItBelongsTo) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "only root can give files away";
    }
    file("a", 0600);
    ASSERT_EQ(::chown(path("a").c_str(), k_somebody, 0), 0);
    EXPECT_EQ(writer("a", FoundBy::name), "user 54321 may write to it");
    file("b", 0664);
    ASSERT_EQ(::chown(path("b").c_str(), 0, k_somebody), 0);
    EXPECT_EQ(writer("b", FoundBy::name), "the group 54321 may write to it");
    file("c", 0644);
    std::filesystem::create_symlink(path("c"), path("link"));
    ASSERT_EQ(::lchown(path("link").c_str(), k_somebody, 0), 0);
    EXPECT_NE(writer("link", FoundBy::name).find("somebody else's"), std::string::npos);
}

/// An access list as setfacl -m u:54321:rw makes it.
TEST_F(OthersMayWrite, IsTrueOfWhomAnAccessListNames) {
    file("a", 0600);

    struct Line {
        std::uint16_t tag, bits;
        std::uint32_t id;
    };

    const std::uint32_t version = 2;
    const std::array<Line, 5> lines{
        {{0x01, 6, ~0U}, {0x02, 6, k_somebody}, {0x04, 0, ~0U}, {0x10, 6, ~0U}, {0x20, 0, ~0U}}};
    std::string list(sizeof version + sizeof lines, '\0');
    std::memcpy(list.data(), &version, sizeof version);
    std::memcpy(list.data() + sizeof version, lines.data(), sizeof lines);
    if (::setxattr(path("a").c_str(), "system.posix_acl_access", list.data(), list.size(), 0) !=
        0) {
        GTEST_SKIP() << "no access lists on this file system";
    }
    EXPECT_EQ(writer("a"), "user 54321 may write to it");
    EXPECT_EQ(knows("a"), path("a") + " is readable by user 54321");
}

TEST_F(OthersMayWrite, IsRefusedByWhoReadsAFileThatWasFoundAndNeverWaitedFor) {
    file("a.yaml", 0666, "x: 1\n");
    EXPECT_THROW((void)yaml::read_text(path("a.yaml"), FoundBy::name), InputError);
    EXPECT_EQ(yaml::read_text(path("a.yaml")), "x: 1\n");
    ::chmod(path("a.yaml").c_str(), 0644);
    EXPECT_EQ(yaml::read_text(path("a.yaml"), FoundBy::luck), "x: 1\n");
    ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
    EXPECT_EQ(yaml::read_text(path("pipe"), FoundBy::luck), "");
}

TEST_F(OthersMayRead, IsAskedOfSecrets) {
    file("a", 0600, "s3cret\r\nmore\n");
    EXPECT_EQ(knows("a"), "");
    EXPECT_EQ(read_secret_line(path("a"), "the key"), "s3cret");
    file("b", 0604);
    EXPECT_EQ(knows("b"), path("b") + " is readable by everybody");
    EXPECT_THROW((void)read_secret_line(path("b"), "the key"), Error);
    file("c", 0602);
    EXPECT_EQ(knows("c"), path("c") + " can be written by everybody");
    ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
    ::chmod(path("pipe").c_str(), 0622);
    EXPECT_THROW((void)read_secret_line(path("pipe"), "the key"), Error) << "and does not wait";
    EXPECT_THROW((void)read_secret_line("/dev/null", "the key"), Error);
    EXPECT_THROW((void)read_secret_line(folder, "the key"), Error);
    file("long", 0600, std::string(70'000, 'x'));
    EXPECT_THROW((void)read_secret_line(path("long"), "the key"), Error) << "not a part of it";
    if (::geteuid() == 0) {
        file("d", 0640);
        ASSERT_EQ(::chown(path("d").c_str(), 0, k_somebody), 0);
        EXPECT_EQ(knows("d"), path("d") + " is readable by the group 54321");
        file("e", 0600);
        ASSERT_EQ(::chown(path("e").c_str(), k_somebody, 0), 0);
        EXPECT_EQ(knows("e"), path("e") + " belongs to user 54321");
    }
}

/// What `--key-file <(pass show key)` gives; it is read wherever the secret is used.
TEST_F(OthersMayRead, IsNotTrueOfAPipeOfOurs) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    const std::string name = "/dev/fd/" + std::to_string(ends[0]);
    ASSERT_EQ(::write(ends[1], "s3cret\nmore", 11), 11);
    EXPECT_EQ(read_secret_line(name, "the key"), "s3cret") << "whoever writes need not have ended";
    EXPECT_EQ(read_secret_line(name, "the key"), "s3cret");
    ::close(ends[1]);
    ::close(ends[0]);
    ASSERT_EQ(::pipe(ends.data()), 0);
    ASSERT_EQ(::write(ends[1], "no end", 6), 6);
    ::close(ends[1]);
    EXPECT_EQ(read_secret_line("/dev/fd/" + std::to_string(ends[0]), "the key"), "no end");
    ::close(ends[0]);
}

TEST_F(OthersMayRead, IsNotTrueOfANamedPipeOfOursWhoseWriterComesLater) {
    for (const char* text : {"s3cret\n", ""}) {
        const std::string name = path(*text != '\0' ? "pipe" : "empty");
        ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0);
        const std::jthread writer([&] { std::ofstream(name) << text; });
        if (*text != '\0') {
            EXPECT_EQ(read_secret_line(name, "the key"), "s3cret");
        } else {
            EXPECT_THROW((void)read_secret_line(name, "the key"), Error);
        }
    }
}

TEST_F(StateFolders, GiveAModeOnlyToWhatTheyMade) {
    ::chmod(folder.c_str(), 02770);
    file("there", 0640, "whose it is");
    EXPECT_EQ(refusal("there"), "");
    EXPECT_EQ(mode_of(path("there")), 0640U);
    EXPECT_EQ(refusal("new"), "");
    EXPECT_EQ(mode_of(path("new")), 0660U);
    ::chmod(folder.c_str(), 0700);
    EXPECT_EQ(refusal("own"), "");
    EXPECT_EQ(mode_of(path("own")), 0600U);
}

TEST_F(StateFolders, TouchNoFileBehindALinkOrAnotherName) {
    file("victim", 0600, "secret");
    ::chmod(folder.c_str(), 02770);
    std::filesystem::create_symlink(path("victim"), path("link"));
    EXPECT_NE(refusal("link").find("is a symlink"), std::string::npos);
    std::filesystem::create_symlink(path("none"), path("dangling"));
    EXPECT_NE(refusal("dangling").find("is a symlink"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(path("none")));
    std::filesystem::create_hard_link(path("victim"), path("hard"));
    EXPECT_NE(refusal("hard").find("other names"), std::string::npos);
    ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0666), 0);
    EXPECT_NE(refusal("pipe").find("no regular file"), std::string::npos);
    file("open", 0666);
    EXPECT_NE(refusal("open").find("can be written by everybody"), std::string::npos);
    EXPECT_EQ(mode_of(path("victim")), 0600U);
    EXPECT_EQ(text_of(path("victim")), "secret");
}

TEST_F(StateFolders, RefuseWhatBelongsToAStranger) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "only root can give files away";
    }
    ::chmod(folder.c_str(), 02770);
    file("theirs", 0660);
    ASSERT_EQ(::chown(path("theirs").c_str(), k_somebody, 0), 0);
    EXPECT_NE(refusal("theirs").find("belongs to user 54321"), std::string::npos);
    ASSERT_EQ(::chown(folder.c_str(), k_somebody, 0), 0);
    EXPECT_THROW((void)StateFolder::make(folder), Error);
}

TEST_F(StateFolders, AreMadeForTheirOwnerAloneAndFollowNoLinkOfOthers) {
    EXPECT_EQ(StateFolder::make(path("new/deep/")).path(), path("new/deep"));
    EXPECT_EQ(mode_of(path("new/deep")), 0700U);
    std::filesystem::create_symlink("new/deep", path("mine"));
    EXPECT_EQ(StateFolder::make(path("mine")).path(), path("new/deep")) << "a larger disk";
    ::chmod(folder.c_str(), 0757);
    EXPECT_THROW((void)StateFolder::make(folder), Error);
    EXPECT_EQ(mode_of(folder), 0757U);
    if (::geteuid() == 0) {
        ::chmod(path("new/deep").c_str(), 0755);
        ASSERT_EQ(::lchown(path("mine").c_str(), k_somebody, 0), 0);
        EXPECT_THROW((void)StateFolder::make(path("mine")), Error);
        EXPECT_EQ(mode_of(path("new/deep")), 0755U) << "a link turns no mode";
    }
}

}  // namespace
}  // namespace lockstep
