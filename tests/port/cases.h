/*
 * The names of all contract tests, each said once. contract.c includes this to declare and to list them, and
 * test_contract.py reads it, so that pytest knows the tests before anything is compiled.
 */

/* accept_tests.c */
CASE(accept_pool_takes_every_client)
CASE(accept_of_a_client_already_in_the_queue)
CASE(client_closed_right_after_it_was_accepted)
CASE(client_that_reset_while_in_the_queue)
CASE(client_that_resets_while_accepts_wait)
CASE(listener_survives_many_dead_clients)
CASE(cancel_of_one_accept_leaves_the_others)
CASE(listener_closed_while_accepts_wait)
CASE(port_number_is_free_after_the_listener_closed)
CASE(second_listener_on_a_port_in_use)
CASE(accept_out_of_descriptors)
CASE(connect_out_of_descriptors)

/* connect_tests.c */
CASE(both_ends_on_one_port)
CASE(both_ends_over_ipv6)
CASE(dual_stack_listener_takes_both_families)
CASE(ipv6_only_listener_refuses_ipv4)
CASE(connect_refused)
CASE(connect_from_a_chosen_source)
CASE(cancel_of_a_connect_that_gets_no_answer)
CASE(socket_closed_while_it_connects)

/* receive_tests.c */
CASE(receive_waits_until_data_comes)
CASE(many_sockets_ready_at_once)
CASE(recv_with_nothing_there_does_not_block)
CASE(unread_bytes_are_counted)
CASE(receive_of_data_already_there)
CASE(receive_completes_again_while_bytes_remain)
CASE(receive_after_everything_was_taken_waits_again)
CASE(receive_at_the_end_of_the_stream)
CASE(data_and_the_end_of_the_stream_together)
CASE(end_of_the_stream_behind_a_short_receive)
CASE(sending_goes_on_after_the_peer_has_finished)
CASE(reset_while_a_receive_waits)
CASE(reset_before_the_receive)
CASE(cancel_of_a_receive_loses_no_data)
CASE(cancel_races_with_data)
CASE(socket_closed_while_a_receive_waits)
CASE(receive_into_a_buffer)

/* send_tests.c */
CASE(gathered_send_of_many_buffers)
CASE(send_of_no_bytes)
CASE(partial_send_under_back_pressure)
CASE(several_sends_in_flight)
CASE(cancel_of_a_send_that_is_held_up)
CASE(cancel_of_everything_on_a_socket)
CASE(peer_resets_while_a_send_is_held_up)
CASE(socket_closed_while_a_send_is_held_up)
CASE(send_to_a_peer_that_is_gone)
CASE(finish_lets_the_peer_read_to_the_end)
CASE(reset_on_close_is_seen_by_the_peer)

/* wait_tests.c */
CASE(wait_of_no_time_returns_at_once)
CASE(wait_of_some_time_returns_after_it)
CASE(wait_may_be_told_to_end_sooner_and_only_once)
CASE(endless_wait_is_woken_by_a_post)
CASE(post_before_the_first_wait)
CASE(post_carries_what_it_was_given)
CASE(batch_is_never_larger_than_asked)
CASE(completions_and_posts_take_turns)
CASE(console_event_is_posted_to_the_port)
CASE(signal_ends_a_wait)
CASE(only_signals_with_a_handler_are_posted)
CASE(error_text_is_utf8_without_a_line_end)
CASE(errors_are_sorted_by_meaning)
CASE(what_the_port_knows_of_the_machine)
CASE(backends_of_other_systems_say_so)

/* mode_tests.c */
CASE(success_at_once_brings_no_packet_with_skip)
CASE(success_at_once_brings_a_packet_without_skip)
CASE(refused_call_brings_no_packet)

/* thread_tests.c */
CASE(posts_from_many_threads_to_one)
CASE(posts_from_many_threads_to_many)
CASE(posts_taken_one_at_a_time_by_many_threads)
CASE(each_post_wakes_a_sleeping_thread)
CASE(send_from_one_thread_while_another_receives)
CASE(socket_closed_by_another_thread)

/* fork_tests.c */
CASE(close_is_heard_though_a_child_has_the_socket)
CASE(closed_socket_that_a_child_has_is_forgotten)

/* server_tests.c */
CASE(order_per_connection_with_several_threads)
CASE(stop_of_an_idle_server)
CASE(stop_with_everything_pending)
