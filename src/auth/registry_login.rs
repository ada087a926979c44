//! The password that `docker login` takes, derived from an access key.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::secret::Secret;

/// The password of the user `{project}@{AK}` (user guide, obtaining a long-term login command).
pub fn long_term_password(access_key: &str, secret_key: &Secret) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret_key.expose().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(access_key.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        registry_login: Vec<Login>,
    }

    #[derive(Deserialize)]
    struct Login {
        ak: String,
        sk: String,
        password: String,
    }

    #[test]
    fn every_login_vector_has_its_password() {
        let text = include_str!("../../tests/aksk-vectors.json");
        let vectors: Vectors = serde_json::from_str(text).expect("the vectors are JSON");
        assert_eq!(vectors.registry_login.len(), 3);
        for login in vectors.registry_login {
            let password = long_term_password(&login.ak, &Secret::new(login.sk));
            assert_eq!(password, login.password);
        }
    }
}
