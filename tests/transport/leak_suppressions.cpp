/// Read by LeakSanitizer, where it is built in. libssh2 1.10 loses two numbers of OpenSSL's each
/// time it reads an ECDSA key in OpenSSH's format (src/openssl.c,
/// gen_publickey_from_ecdsa_openssh_priv_data); its own frames are not in the short stack traces.
extern "C" const char* __lsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier)

extern "C" const char* __lsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier)
    return "leak:CRYPTO_zalloc\n";
}
