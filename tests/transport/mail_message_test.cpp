#include "transport/mail_message.hpp"

#include "base/error.hpp"
#include "transport/encoding.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

Mail simple_mail() {
    return {.from = "lockstep@example.com",
            .to = {"anna@example.com", "bert@example.com"},
            .subject = "[lockstep] orders: done",
            .body = "done\n.\nin 4 min"};
}

std::string compose(const Mail& mail) {
    return compose_message(mail, std::chrono::system_clock::from_time_t(1'700'000'000), "abc");
}

TEST(MailMessage, HasTheHeaderFieldsOfAMailThatAMachineSends) {
    EXPECT_EQ(compose(simple_mail()),
              "From: lockstep@example.com\r\n"
              "To: anna@example.com,\r\n bert@example.com\r\n"
              "Subject: [lockstep] orders: done\r\n"
              "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
              "Message-ID: <abc@example.com>\r\n"
              "MIME-Version: 1.0\r\n"
              "Content-Type: text/plain; charset=UTF-8\r\n"
              "Content-Transfer-Encoding: quoted-printable\r\n"
              "Auto-Submitted: auto-generated\r\n"
              "\r\n"
              "done\r\n.\r\nin 4 min\r\n");
}

TEST(MailMessage, IsRefusedWhereATextCouldBecomeAHeaderField) {
    for (const char* subject : {"a\r\nBcc: x@y", "a\nBcc: x@y", "a\rb", "a\n"}) {
        Mail mail = simple_mail();
        mail.subject = subject;
        EXPECT_THROW((void)compose(mail), Error) << subject;
    }
    for (const char* address : {"a@b\r\nBcc: x@y",
                                "a@b\n",
                                "a@b,c@d",
                                "a@b> SIZE=1",
                                "<a@b>",
                                "A B <a@b>",
                                "a b@c",
                                "\xc3\xa4@b",
                                "@b",
                                "a@",
                                "a",
                                ""}) {
        Mail mail = simple_mail();
        mail.from = address;
        EXPECT_THROW((void)compose(mail), Error) << address;
        mail = simple_mail();
        mail.to.emplace_back(address);
        EXPECT_THROW((void)compose(mail), Error) << address;
    }
    Mail mail = simple_mail();
    mail.to.clear();
    EXPECT_THROW((void)compose(mail), Error);
}

/// What a reader of encoded words makes of a subject.
std::string decoded(const std::string& subject) {
    std::string text;
    std::istringstream lines(subject);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t begin = line.find("=?UTF-8?B?") + 10;
        text += base64_decode(line.substr(begin, line.find("?=", begin) - begin)).value();
    }
    return text;
}

TEST(MailSubject, StaysAsItIsWhileItIsShortAscii) {
    EXPECT_EQ(encode_subject("[lockstep] orders: a = b?"), "[lockstep] orders: a = b?");
    EXPECT_EQ(encode_subject(""), "");
}

TEST(MailSubject, IsEncodedWhereItIsNotAscii) {
    EXPECT_EQ(encode_subject("größer"), "=?UTF-8?B?Z3LDtsOfZXI=?=");
    EXPECT_EQ(encode_subject("a\tb"), "=?UTF-8?B?YQli?=");
    EXPECT_EQ(encode_subject("=?UTF-8?Q?x?="), "=?UTF-8?B?PT9VVEYtOD9RP3g/PQ==?=");
}

TEST(MailSubject, IsCutBetweenCharactersIntoLinesThatAreShortEnough) {
    for (const std::string& text :
         {std::string(37, 'a') + "äöüß€€€€€€€€€€€€€€€€€€€€€€",
          std::string(400, 'x'),
          std::string(38, 'a') + "\xf0\x9f\x98\x80" + std::string(50, 'b'),
          std::string(200, '\x80')}) {
        const std::string subject = encode_subject(text);
        EXPECT_EQ(decoded(subject), text);
        std::istringstream lines("Subject: " + subject);
        for (std::string line; std::getline(lines, line);) {
            EXPECT_LE(line.size(), 77U) << line;  // with the \r
            const std::size_t begin = line.find("?B?") + 3;
            const std::string word =
                base64_decode(line.substr(begin, line.find("?=", begin) - begin)).value();
            if (text.find('\x80') != 0) {
                EXPECT_NE(static_cast<unsigned char>(word.front()) & 0xC0U, 0x80U) << line;
            }
        }
    }
}

TEST(QuotedPrintable, LeavesReadableTextReadable) {
    EXPECT_EQ(encode_quoted_printable("a = b"), "a =3D b");
    EXPECT_EQ(encode_quoted_printable("ü\n"), "=C3=BC\r\n");
    EXPECT_EQ(encode_quoted_printable("a \nb"), "a=20\r\nb");
    EXPECT_EQ(encode_quoted_printable("a "), "a=20");
    EXPECT_EQ(encode_quoted_printable("a\tb\rc"), "a=09b=0Dc");
    EXPECT_EQ(encode_quoted_printable(""), "");
}

TEST(QuotedPrintable, BreaksLongLinesWhereAReaderJoinsThem) {
    EXPECT_EQ(encode_quoted_printable(std::string(76, 'a')), std::string(76, 'a'));
    EXPECT_EQ(encode_quoted_printable(std::string(77, 'a')), std::string(75, 'a') + "=\r\naa");
    EXPECT_EQ(encode_quoted_printable(std::string(75, 'a') + "\xc3\xbc"),
              std::string(75, 'a') + "=\r\n=C3=BC");
    const std::string encoded = encode_quoted_printable(std::string(2000, '\xff'));
    std::istringstream lines(encoded);
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), 77U);  // with the \r
    }
}

}  // namespace
}  // namespace lockstep
