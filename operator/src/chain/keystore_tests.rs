use super::*;

/// The test vectors of the Web3 Secret Storage definition, and a file that Foundry's `cast wallet import` wrote. That of
/// scrypt has an n that RFC 7914 forbids for its r; no wallet of today writes such a one.
const PBKDF2: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
    "ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2",
    "kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256",
        "salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
    "mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
    "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;
const SCRYPT: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"83dbcc02d8ccb40e466191a123791e0e"},
    "ciphertext":"d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c","kdf":"scrypt",
    "kdfparams":{"dklen":32,"n":262144,"p":8,"r":1,
        "salt":"ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
    "mac":"2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"},
    "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;
/// With geth's own parameters, computed by Python's hashlib, OpenSSL and `cast keccak`; the passphrase is Russian.
const GETH: &str = r#"{"address":"70997970c51812dc3a010c7d01b50e0d17dc79c8","crypto":{"cipher":"aes-128-ctr",
    "ciphertext":"d356fb5e2d70d0a138f41f446bbbfbdf5e941254273797567a7248674b628273",
    "cipherparams":{"iv":"101112131415161718191a1b1c1d1e1f"},"kdf":"scrypt","kdfparams":{"dklen":32,"n":262144,"p":1,"r":8,
        "salt":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"},
    "mac":"7987831eb18a12a05772db2ff7a06a8e7f52ac878888bd31671b62f5419eb023"},
    "id":"6fd4a2f6-0d2a-4a3e-9c5e-7d3b5b5f6a10","version":3}"#;
const OF_THE_DEFINITION: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
const CAST: &str = include_str!("../testing/keystore.json");
const CAST_ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const CAST_PASSPHRASE: &[u8] = b"correct horse battery staple";

fn open(json: &str, passphrase: &[u8]) -> Result<PrivateKeySigner, KeystoreError> {
    Keystore::parse(json.as_bytes())?.open(passphrase)
}

#[test]
fn the_vector_of_the_definition_opens() {
    let signer = open(PBKDF2, b"testpassword").unwrap();
    assert_eq!(hex::encode(signer.to_bytes()), OF_THE_DEFINITION);
}

#[test]
fn parameters_that_the_standard_of_scrypt_forbids_are_refused_with_a_word() {
    let error = open(SCRYPT, b"testpassword").unwrap_err();
    assert_eq!(error, KeystoreError::Malformed(FORBIDDEN));
}

#[test]
fn a_file_with_geths_own_parameters_opens() {
    let signer = open(GETH, "Пароль".as_bytes()).unwrap();
    assert_eq!(
        signer.address().to_string(),
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    );
}

#[test]
fn a_file_of_foundry_opens_with_its_passphrase_only() {
    assert_eq!(open(CAST, CAST_PASSPHRASE).unwrap().address().to_string(), CAST_ADDRESS);
    for wrong in [
        &b"correct horse battery stapl"[..],
        b"",
        b"Correct horse battery staple",
    ] {
        assert_eq!(open(CAST, wrong).unwrap_err(), KeystoreError::WrongPassphrase);
    }
}

#[test]
fn a_keystore_that_names_another_address_is_not_used() {
    let named = |address: &str| CAST.replacen('{', &format!(r#"{{"address":"{address}","#), 1);
    let right = CAST_ADDRESS.to_lowercase();
    assert!(open(&named(right.trim_start_matches("0x")), CAST_PASSPHRASE).is_ok());
    let other = open(&named(&"11".repeat(20)), CAST_PASSPHRASE).unwrap_err();
    assert_eq!(other.category(), "keystore-address");
    assert!(other.to_string().contains(CAST_ADDRESS), "{other}");
}

#[test]
fn a_document_that_is_damaged_is_told_from_one_that_is_something_else() {
    for (from, to) in [
        (r#""version":3"#, r#""version":1"#),
        ("aes-128-ctr", "aes-128-cbc"),
        (r#""kdf":"scrypt""#, r#""kdf":"argon2id""#),
        (r#""kdf":"scrypt""#, r#""kdf":"pbkdf2""#),
        (r#""dklen":32"#, r#""dklen":16"#),
        (r#""n":8192"#, r#""n":8191"#),
        (r#""n":8192,"#, ""),
        (r#""r":8"#, r#""r":0"#),
        (r#""n":8192"#, r#""n":-1"#),
        (r#""mac":"2e"#, r#""mac":"zz"#),
        (r#""mac":"2e"#, r#""mac":""#),
        (r#""salt":"ca"#, r#""salt":"c"#),
        (r#""ciphertext":"c8"#, r#""ciphertext":"#),
    ] {
        let damaged = CAST.replacen(from, to, 1);
        assert_ne!(damaged, CAST, "{from}");
        let error = open(&damaged, CAST_PASSPHRASE).unwrap_err();
        assert!(
            matches!(error, KeystoreError::Malformed(_)),
            "{from} -> {to}: {error:?}"
        );
    }
    for text in [
        "",
        "{}",
        "null",
        "[3]",
        "not JSON",
        OF_THE_DEFINITION,
        &CAST[..CAST.len() / 2],
    ] {
        let error = open(text, CAST_PASSPHRASE).unwrap_err();
        assert!(matches!(error, KeystoreError::Malformed(_)), "{text}: {error:?}");
        assert!(!error.to_string().contains("7a28b5"), "{error}");
    }
    let endless = format!("{}{}", CAST, " ".repeat(MOST_BYTES));
    assert!(matches!(
        open(&endless, CAST_PASSPHRASE),
        Err(KeystoreError::Malformed(_))
    ));
}

#[test]
fn absurd_parameters_are_refused_before_anything_is_computed() {
    let scrypt =
        |n: u64, r: u64, p: u64| CAST.replacen(r#""n":8192,"p":1,"r":8"#, &format!(r#""n":{n},"p":{p},"r":{r}"#), 1);
    for (n, r, p) in [
        (1 << 30, 8, 1),
        (1 << 62, 8, 1),
        (1 << 19, 8, 1),
        (2, 1 << 40, 1),
        (2, 8, 1 << 40),
        (1 << 18, 8, 16),
        (2, 8, u64::MAX),
    ] {
        let error = Keystore::parse(scrypt(n, r, p).as_bytes()).unwrap_err();
        assert_eq!(error.category(), "keystore-costly", "n={n} r={r} p={p}");
    }
    // What geth writes by itself, standard and light.
    for (n, r, p) in [(1 << 18, 8, 1), (1 << 12, 8, 6)] {
        assert!(Keystore::parse(scrypt(n, r, p).as_bytes()).is_ok(), "n={n} r={r} p={p}");
    }
    let long = PBKDF2.replacen("262144", "4294967295", 1);
    assert_eq!(
        Keystore::parse(long.as_bytes()).unwrap_err().category(),
        "keystore-costly"
    );
}

#[test]
fn debug_says_nothing() {
    assert_eq!(
        format!("{:?}", Keystore::parse(CAST.as_bytes()).unwrap()),
        "Keystore { .. }"
    );
}
