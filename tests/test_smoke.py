def test_trains(make_vae, digits):
    vae = make_vae()
    vae.compile("adam")
    history = vae.fit(digits[:256], validation_data=digits[256:300], epochs=2, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
